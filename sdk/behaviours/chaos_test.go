package behaviours

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

var (
	grow    *raygo.Task2[int, int, uint64]
	digest  = raygo.Func2(digestFn)
	rubbish = raygo.Func1(rubbishFn)
)

func init() { grow = raygo.Func2(growFn, raygo.MaxRetries(-1)) }

// growFn is a tree of tasks: it puts a large value, has a child digest it, two
// more grow on, and another make a value that it reads itself.
func growFn(ctx context.Context, seed, depth int) (uint64, error) {
	blob, err := raygo.Put(ctx, blobOf(seed, blobSize))
	if err != nil {
		return 0, err
	}
	parts := []raygo.Ref[uint64]{digest.Options(raygo.MaxRetries(-1)).RemoteArgs(ctx, blob, raygo.Val(seed))}
	if depth > 0 {
		parts = append(parts, grow.Remote(ctx, 2*seed, depth-1), grow.Remote(ctx, 2*seed+1, depth-1))
	}
	made, err := raygo.Get(ctx, makeBlob.Options(raygo.MaxRetries(-1)).Remote(ctx, seed+1, blobSize))
	if err != nil {
		return 0, err
	}
	sum := digestOf(made, seed)
	all, err := raygo.GetAll(ctx, parts)
	for _, v := range all {
		sum = sum*31 + v
	}
	return sum, err
}

func digestFn(_ context.Context, b []byte, seed int) (uint64, error) { return digestOf(b, seed), nil }

func digestOf(b []byte, seed int) uint64 {
	h := fnv.New64a()
	_ = binary.Write(h, binary.BigEndian, int64(seed))
	_, _ = h.Write(b)
	return h.Sum64()
}

// grown is what growFn comes to.
func grown(seed, depth int) uint64 {
	sum := digestOf(blobOf(seed+1, blobSize), seed)
	sum = sum*31 + digestOf(blobOf(seed, blobSize), seed)
	if depth > 0 {
		sum = sum*31 + grown(2*seed, depth-1)
		sum = sum*31 + grown(2*seed+1, depth-1)
	}
	return sum
}

// mostKills bounds the kills of one run: a machine that is slow with starting
// processes would otherwise do nothing else.
const mostKills = 80

// killer kills workers of a peer at random moments until it is stopped or has
// killed mostKills.
type killer struct {
	stop   chan struct{}
	ended  sync.WaitGroup
	killed []int
}

func startKiller(p *peertest.Peer, seed uint64) *killer {
	k := &killer{stop: make(chan struct{})}
	rng := rand.New(rand.NewPCG(seed, 1))
	k.ended.Go(func() {
		for len(k.killed) < mostKills {
			select {
			case <-k.stop:
				return
			case <-time.After(time.Duration(5+rng.IntN(60)) * time.Millisecond): // the moments are what is tested
			}
			pids := []int{}
			for pid := range p.Account().PIDs {
				pids = append(pids, pid)
			}
			if len(pids) == 0 {
				continue
			}
			slices.Sort(pids)
			pid := pids[rng.IntN(len(pids))]
			if syscall.Kill(pid, syscall.SIGKILL) == nil {
				k.killed = append(k.killed, pid)
			}
		}
	})
	return k
}

func (k *killer) end() int {
	close(k.stop)
	k.ended.Wait()
	return len(k.killed)
}

// Workers are killed at random moments while trees of tasks put and pass large
// values through a store that is too small for them. Every value is right, every
// resource is back, nothing is left. behaviours 70, 103, 104, 140, 141, 149 and 190
func TestChaos(t *testing.T) {
	const trees, depth = 12, 3 // 12 trees of 15 tasks with two children each: 540 tasks
	for seed := range uint64(2) {
		t.Run(strconv.Itoa(int(seed)), func(t *testing.T) {
			p, spilled := spillPeer(t, node.Config{})
			var all []int
			t.Run("driver", func(t *testing.T) {
				ctx := p.DriverFor(t)
				k := startKiller(p, seed)
				defer func() { all = k.killed }()
				refs := make([]raygo.Ref[uint64], trees)
				for i := range refs {
					refs[i] = grow.Remote(ctx, i+1, depth)
				}
				var streams sync.WaitGroup
				for range 3 {
					streams.Go(func() { readBlobs(t, ctx, 50) })
				}
				got, err := raygo.GetAll(ctx, refs)
				streams.Wait()
				n := k.end()
				t.Logf("%d workers were killed", n)
				if err != nil {
					t.Fatalf("after %d kills: %v", n, err)
				}
				for i, v := range got {
					if v != grown(i+1, depth) {
						t.Fatalf("tree %d came to %x, not %x", i, v, grown(i+1, depth))
					}
				}
				if n == 0 {
					t.Fatal("nothing was killed")
				}
				for i := range refs {
					raygo.Release(refs[i])
				}
				holds(t, p, 0)
				eventually(t, "everything is free", func() bool {
					a := p.Account()
					return a.Free["CPU"] == a.Total["CPU"] && a.Tasks == 0 && a.Store.Pinned == 0
				})
			})
			empty(t, p)
			eventually(t, "no spill file is left", func() bool { return len(entries(t, spilled)) == 0 })
			for _, pid := range all {
				gone(t, []string{strconv.Itoa(pid)})
			}
		})
	}
}

// readBlobs reads a stream whose producer may be killed at any item: each comes
// exactly once.
func readBlobs(t *testing.T, ctx context.Context, n int) {
	i := 0
	for b, err := range blobs.Options(raygo.MaxRetries(-1)).Remote(ctx, n, blobSize).Values(ctx) {
		if err != nil || len(b) != blobSize || b[0] != byte(i) {
			t.Errorf("item %d: %d bytes, %v", i, len(b), err)
			return
		}
		i++
	}
	if i != n {
		t.Errorf("%d items of %d", i, n)
	}
}

// rubbishFn writes what is no frame into each of its sockets.
func rubbishFn(_ context.Context, junk []byte) (int, error) {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, err
	}
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			n, _ := strconv.Atoi(fd.Name())
			_, _ = syscall.Write(n, junk)
		}
	}
	select {}
}

// A worker that writes rubbish is ended; its task fails, all others go on.
func TestWorkerWritesRubbish(t *testing.T) {
	p := peertest.Start(t, node.Config{})
	ctx := p.Driver()
	for name, junk := range map[string][]byte{
		"zeros":     make([]byte, 64),
		"too large": {0xff, 0xff, 0xff, 0xff, 1, 2, 3},
		"text":      []byte(strings.Repeat("GET / HTTP/1.1\r\n", 100)),
		"no task":   ipc.AppendResult(nil, &ipc.Result{Task: words.NewTaskID(words.NewJobID(), 7, 7), Award: 3}),
	} {
		t.Run(name, func(t *testing.T) {
			bad := rubbish.Options(raygo.MaxRetries(0)).Remote(ctx, junk)
			for i := range 50 {
				if v, err := raygo.Get(ctx, square.Remote(ctx, i)); err != nil || v != i*i {
					t.Fatalf("beside it: %d, %v", v, err)
				}
			}
			if name == "no task" { // believed to be late, and ignored
				if out, err := raygo.Cancel(ctx, bad, raygo.Force()); err != nil || out != raygo.Stopped {
					t.Fatalf("cancel: %v, %v", out, err)
				}
				return
			}
			if _, err := raygo.Get(ctx, bad); !errors.Is(err, raygo.ErrWorkerCrashed) {
				t.Fatalf("get: %v", err)
			}
		})
	}
	eventually(t, "everything is free", func() bool { a := p.Account(); return a.Free["CPU"] == 2 && a.Tasks == 0 })
}

// A driver that asks for a great deal and does not read costs the peer no more
// than a bounded backlog, and the others nothing. When it reads it gets it all.
func TestDriverThatDoesNotRead(t *testing.T) {
	p := peertest.Start(t, node.Config{})
	ctx := p.Driver()
	c, err := net.Dial("unix", p.Ready.Socket)
	if err != nil {
		t.Fatal(err)
	}
	conn := ipc.NewConn(c.(*net.UnixConn), 0)
	t.Cleanup(func() { _ = conn.Close() })
	w, arena, err := conn.Handshake(t.Context(), &ipc.Hello{Role: ipc.RoleDriver, PID: os.Getpid(), Program: "deaf"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = arena.Close() })
	const objects, rounds, size = 100, 30, 90 << 10
	value := ipc.Value{Kind: ipc.ValueInline, Bytes: bytes.Repeat([]byte{7}, size)}
	var ids []words.ObjectID
	for i := range objects {
		ids = append(ids, words.NewTaskID(w.Job, w.Proc, uint32(i+1)).Object(0))
	}
	err = conn.Send(func(b []byte) []byte {
		for _, id := range ids {
			b = ipc.AppendPut(b, id, &value, nil)
		}
		for range rounds {
			b = ipc.AppendWant(b, ipc.WantValue, ids)
		}
		return b
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "answers pile up", func() bool { return p.Account().Backlog > 8<<20 })
	for i := range 200 {
		if v, err := raygo.Get(ctx, square.Remote(ctx, i)); err != nil || v != i*i {
			t.Fatalf("another driver: %d, %v", v, err)
		}
		if n := p.Account().Backlog; n > 32<<20 {
			t.Fatalf("a backlog of %d MiB", n>>20)
		}
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	for n := 0; n < objects*rounds; {
		typ, b, err := conn.Read()
		if err != nil {
			t.Fatalf("after %d answers: %v", n, err)
		}
		if typ == ipc.TypeReady {
			if n++; len(b) < size {
				t.Fatalf("an answer of %d bytes", len(b))
			}
		}
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its job ends", func() bool { return p.Account().Jobs == 1 })
}

// A task whose worker is killed while it waits for room in the store is tried
// again, and gets the room that its first attempt was waiting for. behaviours 103
// and 140
func TestKilledWhileItWaitsForRoom(t *testing.T) {
	p := peertest.Start(t, node.Config{CPUs: 1, ObjectStoreMemory: smallStore, SpillDir: "off"})
	ctx := p.Driver()
	refs := putBlobs(t, ctx, 7, 1<<20)
	made := makeBlob.Options(raygo.MaxRetries(-1)).Remote(ctx, 77, 4<<20)
	killed := map[int]bool{}
	for range 3 {
		eventually(t, "a worker waits for room", func() bool {
			a := p.Account()
			for pid := range a.PIDs {
				if a.Store.Waiting > 0 && !killed[pid] && len(a.PIDs) == 1 {
					killed[pid] = true
					return syscall.Kill(pid, syscall.SIGKILL) == nil
				}
			}
			return false
		})
	}
	eventually(t, "another waits", func() bool {
		a := p.Account()
		return a.Store.Waiting == 1 && len(a.PIDs) == 1 && a.Free["CPU"] == 0
	})
	for _, r := range refs {
		raygo.Release(r)
	}
	b, err := raygo.Get(ctx, made)
	if err != nil || !bytes.Equal(b, blobOf(77, 4<<20)) {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
}
