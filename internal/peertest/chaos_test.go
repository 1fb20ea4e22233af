package peertest_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	raygo "github.com/raygo/raygo/sdk"
)

var (
	addUp = raygo.Func2(addBoth)
	fill  = raygo.Func2(fillBytes)
	sumUp = raygo.Func2(sumBoth)
)

func addBoth(_ context.Context, a, b int) (int, error) {
	time.Sleep(2 * time.Millisecond)
	return a + b, nil
}

// fillBytes makes a value that goes through the store.
func fillBytes(_ context.Context, seed, n int) ([]byte, error) {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(seed + i)
	}
	return b, nil
}

func sumBoth(_ context.Context, a []byte, n int) (int, error) {
	sum := n
	for _, c := range a {
		sum += int(c)
	}
	return sum, nil
}

// behaviours 95, 127, 235: every task of a large graph gives the right value while
// peers die, stand still and come back, and those that came back know each other.
func TestGraphWhilePeersDie(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out what takes half a minute")
	}
	const width, depth = 250, 38
	c := peertest.Cluster(t, 4)
	ctx := c.Peer(0).Driver()
	stop := make(chan struct{})
	var trouble sync.WaitGroup
	trouble.Go(func() {
		rng := rand.New(rand.NewPCG(1, 2))
		for {
			p := c.Peer(1 + rng.IntN(3))
			pause := rng.IntN(3) == 0
			if pause {
				p.Pause()
			} else {
				p.Kill()
			}
			wait := time.Duration(rng.IntN(1500)) * time.Millisecond
			if pause {
				wait *= 4
			}
			time.Sleep(wait)
			if pause {
				p.Resume()
			} else {
				p.Start()
			}
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(rng.IntN(1500)) * time.Millisecond):
			}
		}
	})
	row := make([]raygo.Ref[int], width)
	want := make([]int, width)
	many := []raygo.Option{raygo.MaxRetries(50)}
	for i := range row {
		blob := fill.Options(many...).Remote(ctx, i, 150_000)
		row[i] = sumUp.Options(many...).RemoteArgs(ctx, blob, raygo.Val(i))
		for k := range 150_000 {
			want[i] += int(byte(i + k))
		}
		want[i] += i
	}
	for range depth {
		next, sums := make([]raygo.Ref[int], width), make([]int, width)
		for i := range row {
			k := (i*7 + 1) % width
			next[i] = addUp.Options(many...).RemoteArgs(ctx, row[i], row[k])
			sums[i] = want[i] + want[k]
		}
		row, want = next, sums
	}
	begin := time.Now()
	got, err := raygo.GetAll(ctx, row)
	t.Logf("%d tasks in %s", width*(depth+2), time.Since(begin))
	close(stop)
	trouble.Wait()
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("value %d is %d, want %d", i, got[i], want[i])
		}
	}
	c.Meet()
}
