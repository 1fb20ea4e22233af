package behaviours

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

var (
	afterChild = raygo.Func2(afterChildFn)
	childOf    = raygo.Func1(childOfFn)
)

// afterChildFn has a call run at a peer and waits for it.
func afterChildFn(ctx context.Context, peer string, d time.Duration) (int64, error) {
	return raygo.Get(ctx, childOf.Options(on(peer)).Remote(ctx, d))
}

func childOfFn(ctx context.Context, d time.Duration) (int64, error) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return int64(d), ctx.Err()
}

// session is a program at a peer, until the test ends.
func session(t *testing.T, p *peertest.Process, opts ...raygo.InitOption) (context.Context, *raygo.Session) {
	t.Helper()
	ctx, s, err := raygo.Init(t.Context(), append(opts, raygo.Address("unix://"+p.Ready.Socket))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return soon(ctx, t, 2*time.Minute), s
}

// again is a ref as another program of the job has it.
func again[T any](ctx context.Context, r raygo.Ref[T]) raygo.Ref[T] {
	return raygo.RefOf[T](ctx, r.ID())
}

// behaviours 144, 110
func TestADetachedJobOutlivesItsOwner(t *testing.T) {
	c := peertest.Cluster(t, 4, peertest.Options{CPUs: 2})
	ids := c.IDs()
	ctx, s := session(t, c.Peer(0), raygo.Detached())
	spread := raygo.Strategy(raygo.Spread())
	var slow []raygo.Ref[int64]
	for range 6 {
		slow = append(slow, childOf.Options(spread).Remote(ctx, 5*time.Second))
	}
	waits := afterChild.Options(on(ids[1])).Remote(ctx, ids[2], 5*time.Second)
	chain := addAll.Remote(ctx, nil)
	for range 20 {
		chain = addAll.RemoteArgs(ctx, raygo.All([]raygo.Ref[int]{chain}))
	}
	made := seeded.Options(on(ids[0])).Remote(ctx, 7)
	alone, err := raygo.Put(ctx, bytes.Repeat([]byte{1}, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := raygo.Put(ctx, bytes.Repeat([]byte{2}, 1<<20), raygo.Replicas(2))
	if err != nil {
		t.Fatal(err)
	}
	await(ctx, t, chain)
	await(ctx, t, made)
	// Its tasks run elsewhere, the put is copied, and the guardians know.
	if _, _, err := raygo.Wait(ctx, slow, 1, raygo.WithTimeout(time.Second)); err != nil {
		t.Fatal(err)
	}
	job := s.JobID()
	c.Peer(0).Kill()
	if _, err := raygo.Get(ctx, slow[0]); !errors.Is(err, raygo.ErrPeerDied) {
		t.Fatalf("at the peer that died: %v", err)
	}

	bctx, b := session(t, c.Peer(3), raygo.Attach(job))
	if b.JobID() != job || b.Peer() != ids[3] {
		t.Fatalf("attached to job %s at %s", b.JobID(), b.Peer())
	}
	if v, err := raygo.Get(bctx, again(bctx, chain)); err != nil || v != 21 {
		t.Fatalf("a finished chain: %d, %v", v, err)
	}
	for _, r := range slow {
		if v, err := raygo.Get(bctx, again(bctx, r)); err != nil || v != int64(5*time.Second) {
			t.Fatalf("a task that ran: %d, %v", v, err)
		}
	}
	if v, err := raygo.Get(bctx, again(bctx, waits)); err != nil || v != int64(5*time.Second) {
		t.Fatalf("a task that waited for another: %d, %v", v, err)
	}
	if v, err := raygo.Get(bctx, again(bctx, kept)); err != nil || len(v) != 1<<20 || v[0] != 2 {
		t.Fatalf("a put with a copy: %d bytes, %v", len(v), err)
	}
	want, _ := seededFn(ctx, 7)
	if v, err := raygo.Get(bctx, again(bctx, made)); err != nil || !bytes.Equal(v, want) {
		t.Fatalf("a result that only the owner had: %d bytes, %v", len(v), err)
	}
	if _, err := raygo.Get(bctx, again(bctx, alone)); !errors.Is(err, raygo.ErrOwnerDied) {
		t.Fatalf("a put that only the owner had: %v", err)
	}
	if v, err := raygo.Get(bctx, square.Remote(bctx, 9)); err != nil || v != 81 {
		t.Fatalf("a new call: %d, %v", v, err)
	}
}

// guardedOwner asks a peer who owns a job, once n guardians have what the owner knows.
func guardedOwner(t *testing.T, p *peertest.Process, job string, n int) (owner string) {
	t.Helper()
	eventually(t, "the job has an owner, and guardians that have its records", func() bool {
		var rows ipc.Rows[ipc.JobRow]
		p.Ask(&ipc.Query{Op: ipc.QueryJobs}, &rows)
		for _, r := range rows.Rows {
			if r.JobID == job && len(r.Guardians) == n {
				owner = r.PeerID
			}
		}
		return owner != ""
	})
	return owner
}

// behaviour 144: again and again.
func TestEveryOwnerDies(t *testing.T) {
	c := peertest.Cluster(t, 4, peertest.Options{CPUs: 2})
	ctx, s := session(t, c.Peer(0), raygo.Detached())
	slow := childOf.Options(raygo.MaxRetries(-1), on(c.IDs()[3])).Remote(ctx, 12*time.Second)
	quick := square.Remote(ctx, 5)
	await(ctx, t, quick)
	await(ctx, t, square.Options(on(c.IDs()[3])).Remote(ctx, 1)) // what was submitted before is with the guardians soon
	if _, _, err := raygo.Wait(ctx, []raygo.Ref[int64]{slow}, 1, raygo.WithTimeout(500*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	job := s.JobID()
	guardedOwner(t, c.Peer(3), job, 2)
	c.Peer(0).Kill()
	for i := range 2 {
		actx, _ := session(t, c.Peer(3), raygo.Attach(job))
		if v, err := raygo.Get(actx, again(actx, quick)); err != nil || v != 25 {
			t.Fatalf("%d, %v", v, err)
		}
		owner := guardedOwner(t, c.Peer(3), job, 2-i)
		for i, id := range c.IDs() {
			if id == owner && i != 3 {
				c.Peer(i).Kill()
			}
		}
		if owner == c.IDs()[3] {
			break
		}
	}
	actx, _ := session(t, c.Peer(3), raygo.Attach(job))
	if v, err := raygo.Get(actx, again(actx, slow)); err != nil || v != int64(12*time.Second) {
		t.Fatalf("%d, %v", v, err)
	}
}

// behaviours 96, 144: SIGTERM of the owner.
func TestADrainingOwnerHandsItsJobOver(t *testing.T) {
	c := peertest.Cluster(t, 3, peertest.Options{CPUs: 2})
	ctx, s := session(t, c.Peer(0), raygo.Detached())
	var refs []raygo.Ref[int64]
	for range 30 {
		refs = append(refs, childOf.Remote(ctx, 300*time.Millisecond))
	}
	blob, err := raygo.Put(ctx, bytes.Repeat([]byte{4}, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	await(ctx, t, refs[0])
	job := s.JobID()
	c.Peer(0).Drain()
	actx, _ := session(t, c.Peer(1), raygo.Attach(job))
	for _, r := range refs {
		if v, err := raygo.Get(actx, again(actx, r)); err != nil || v != int64(300*time.Millisecond) {
			t.Fatalf("%d, %v", v, err)
		}
	}
	if v, err := raygo.Get(actx, again(actx, blob)); err != nil || len(v) != 1<<20 || v[0] != 4 {
		t.Fatalf("%d bytes, %v", len(v), err)
	}
}

// The owner of a detached job and the peer that alone has a value get SIGTERM at the
// same moment: the value is copied to one that stays. It is not made again, which
// MaxRetries(0) rules out.
func TestOwnerAndHolderDrainTogether(t *testing.T) {
	c := peertest.Cluster(t, 4)
	ctx, s := session(t, c.Peer(0), raygo.Detached())
	value := bigBlob.Options(on(c.IDs()[1]), raygo.MaxRetries(0)).Remote(ctx, 4<<20)
	if _, _, err := raygo.Wait(ctx, []raygo.Ref[[]byte]{value}, 1, raygo.FetchLocal(false)); err != nil {
		t.Fatal(err)
	}
	job := s.JobID()
	peertest.DrainTogether(c.Peer(0), c.Peer(1))
	actx, _ := session(t, c.Peer(2), raygo.Attach(job))
	if v, err := raygo.Get(actx, again(actx, value)); err != nil || len(v) != 4<<20 {
		t.Fatalf("%d bytes, %v", len(v), err)
	}
}

// readerRole is a program that attaches to a job and has a call of it write lines at
// a peer.
func readerRole() {
	ctx, s, err := raygo.Init(context.Background(), raygo.Attach(os.Getenv("BEHAVIOURS_JOB")))
	if err == nil {
		_, err = raygo.Get(ctx, say.Options(on(os.Getenv("BEHAVIOURS_PEER"))).Remote(ctx, "word", 3))
		err = errors.Join(err, s.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// What a task writes reaches the program that is attached
// elsewhere than at the owner, before the result, and that of the owner's program.
func TestOutputReachesEveryDriver(t *testing.T) {
	c := peertest.Cluster(t, 3, peertest.Options{CPUs: 2})
	_, s := session(t, c.Peer(0), raygo.Detached())
	for i, id := range c.IDs() {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), roleEnv+"=reader", "BEHAVIOURS_PEER="+id, "RAYGO_ADDRESS=unix://"+c.Peer(2).Ready.Socket, "BEHAVIOURS_JOB="+s.JobID())
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Run(); err != nil {
			t.Fatalf("the program: %v\n%s", err, &stderr)
		}
		for _, line := range []string{"word 0", "word 1", "word 2", "word on stderr"} {
			if n := strings.Count(stderr.String(), "peer="+id[len(id)-8:]+") "+line+"\n"); n != 1 {
				t.Errorf("%q of a task at peer %d was shown %d times:\n%s", line, i, n, &stderr)
			}
		}
	}
}

// Programs attach to a job at any peer while its owner lives.
func TestAttachAnywhere(t *testing.T) {
	c := peertest.Cluster(t, 3, peertest.Options{CPUs: 2})
	ctx, s := session(t, c.Peer(0), raygo.Detached())
	blob, err := raygo.Put(ctx, bytes.Repeat([]byte{6}, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	small := square.Remote(ctx, 6)
	await(ctx, t, small)
	bctx, _ := session(t, c.Peer(2), raygo.Attach(s.JobID()))
	if v, err := raygo.Get(bctx, again(bctx, blob)); err != nil || len(v) != 1<<20 || v[0] != 6 {
		t.Fatalf("%d bytes, %v", len(v), err)
	}
	if v, err := raygo.Get(bctx, again(bctx, small)); err != nil || v != 36 {
		t.Fatalf("%d, %v", v, err)
	}
	mine, err := raygo.Put(bctx, bytes.Repeat([]byte{7}, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := raygo.Get(bctx, length.RemoteArgs(bctx, mine)); err != nil || n != 1<<20 {
		t.Fatalf("%d, %v", n, err)
	}
	if _, _, err := raygo.Init(t.Context(), raygo.Address("unix://"+c.Peer(2).Ready.Socket), raygo.Attach("0123456789abcdef")); err == nil {
		t.Fatal("attached to a job that there never was")
	}
	own, o := session(t, c.Peer(1))
	if v, err := raygo.Get(own, square.Remote(own, 2)); err != nil || v != 4 {
		t.Fatalf("%d, %v", v, err)
	}
	if _, _, err := raygo.Init(t.Context(), raygo.Address("unix://"+c.Peer(2).Ready.Socket), raygo.Attach(o.JobID())); err == nil {
		t.Fatal("attached to a job that is not detached")
	}
}
