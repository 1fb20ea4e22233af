package simnet_test

import (
	"context"
	"errors"
	"testing"
	"time"

	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/simnet"
)

var (
	slow  = raygo.Func2(slowFn)
	large = raygo.Func1(largeFn)
)

// slowFn is the peer it ran on.
func slowFn(ctx context.Context, _ int, d time.Duration) (string, error) {
	select {
	case <-time.After(d):
		return raygo.Info(ctx).Peer, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func largeFn(_ context.Context, seed int) ([]byte, error) {
	b := make([]byte, 300<<10)
	for i := range b {
		b[i] = byte(i + seed)
	}
	return b, nil
}

// behaviour 74
func TestRunSharesWork(t *testing.T) {
	simnet.Run(t, simnet.Config{Seed: 1}, func(c *simnet.Cluster) {
		ctx := c.Driver(0)
		began := time.Now()
		var refs []raygo.Ref[string]
		for i := range 60 {
			refs = append(refs, slow.Remote(ctx, i, time.Minute))
		}
		n := map[string]int{}
		for _, r := range refs {
			peer, err := raygo.Get(ctx, r)
			if err != nil {
				t.Fatal(err)
			}
			n[peer]++
		}
		if took := time.Since(began); took < 10*time.Minute || took > 12*time.Minute {
			t.Fatalf("60 minutes on 6 CPUs took %s", took)
		}
		for i := range 3 {
			if n[c.ID(i)] < 15 {
				t.Fatalf("60 tasks landed %v", n)
			}
		}
	})
}

// behaviours 116, 235
func TestRunSurvivesDeaths(t *testing.T) {
	simnet.Run(t, simnet.Config{Seed: 2, Peers: 4, Latency: 5 * time.Millisecond}, func(c *simnet.Cluster) {
		ctx := c.Driver(0)
		at := raygo.Strategy(raygo.NodeAffinity(c.ID(1), true))
		blob := large.Options(at).Remote(ctx, 3)
		if _, _, err := raygo.Wait(ctx, []raygo.Ref[[]byte]{blob}, 1, raygo.FetchLocal(false)); err != nil {
			t.Fatal(err)
		}
		var refs []raygo.Ref[string]
		for i := range 8 {
			refs = append(refs, slow.Remote(ctx, i, 20*time.Second))
		}
		c.Advance(5 * time.Second)
		c.Kill(1)
		for i, r := range refs {
			if peer, err := raygo.Get(ctx, r); err != nil || peer == c.ID(1) {
				t.Fatalf("task %d ended on %s: %v", i, peer, err)
			}
		}
		b, err := raygo.Get(ctx, blob)
		want, _ := largeFn(ctx, 3)
		if err != nil || string(b) != string(want) {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		c.Restart(1)
		c.Meet()
		hard := slow.Options(raygo.Strategy(raygo.NodeAffinity(c.ID(1), false)))
		if peer, err := raygo.Get(ctx, hard.Remote(ctx, 0, time.Second)); err != nil || peer != c.ID(1) {
			t.Fatalf("after the restart: %s, %v", peer, err)
		}
	})
}

// behaviour 110: who waits when the driver's own peer dies is told so, and who asks
// later.
func TestRunTellsADriverThatItsPeerDied(t *testing.T) {
	simnet.Run(t, simnet.Config{Seed: 4}, func(c *simnet.Cluster) {
		ctx := c.Driver(1)
		waits := make(chan error)
		go func() {
			_, err := raygo.Get(ctx, slow.Remote(ctx, 0, time.Hour))
			waits <- err
		}()
		c.Advance(time.Second)
		c.Kill(1)
		if err := <-waits; !errors.Is(err, raygo.ErrPeerDied) {
			t.Errorf("Get: %v", err)
		}
		if _, err := raygo.Get(ctx, slow.Remote(ctx, 0, time.Second)); !errors.Is(err, raygo.ErrPeerDied) {
			t.Errorf("Remote: %v", err)
		}
		if _, err := raygo.Nodes(ctx); !errors.Is(err, raygo.ErrPeerDied) {
			t.Errorf("Nodes: %v", err)
		}
	})
}

// behaviours 234, 236
func TestRunThroughAPartition(t *testing.T) {
	simnet.Run(t, simnet.Config{Seed: 3}, func(c *simnet.Cluster) {
		ctx := c.Driver(0)
		away := slow.Options(raygo.Strategy(raygo.NodeAffinity(c.ID(2), true)))
		ref := away.Remote(ctx, 0, 30*time.Second)
		c.Advance(time.Second)
		c.Partition([]int{0, 1}, []int{2})
		peer, err := raygo.Get(ctx, ref)
		if err != nil || peer == c.ID(2) {
			t.Fatalf("the task of a peer that was cut off: %s, %v", peer, err)
		}
		c.Heal()
		c.Meet()
		if again, err := raygo.Get(ctx, ref); err != nil || again != peer {
			t.Fatalf("the value changed from %s to %s: %v", peer, again, err)
		}
		if back, err := raygo.Get(ctx, away.Remote(ctx, 0, time.Second)); err != nil || back != c.ID(2) {
			t.Fatalf("the peer that came back: %s, %v", back, err)
		}
	})
}
