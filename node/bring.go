package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/objects"
	"github.com/raygo/raygo/objects/swarm"
	"github.com/raygo/raygo/sched"
)

// bringTries bounds how often arguments are brought that go again, for lack of
// room, before all of them are pinned.
const bringTries = 3

// errNoHolder is what bringing an object fails with when nobody has it.
var errNoHolder = errors.New("no peer that can be reached has it")

// bring fetches an object of which others have the bytes, unless it is here.
func (n *Node) bring(ctx context.Context, src *sched.Source, p swarm.Priority, pin bool) error {
	if n.mesh == nil {
		return errNoHolder
	}
	name := cid.Undef
	if src.CID != "" {
		name, _ = cid.Decode(src.CID) // what is no CID is none
	}
	want := swarm.Want{
		Object: src.Object, CID: name, Size: src.Size, Priority: p, Pin: pin,
		Holders: func() []string { return n.mesh.alive(src.Holders) },
	}
	if len(src.Holders) > 0 {
		want.Maker = src.Holders[0]
	}
	if name.Defined() {
		want.Find = func(ctx context.Context) []string { return n.mesh.providers(ctx, name) }
	}
	got, err := n.mesh.swarm.Fetch(ctx, want)
	if err != nil {
		return err
	}
	if !got.Present {
		n.do(&sched.Copied{Object: src.Object})
		n.mesh.provide(src.Object, got.CID)
	}
	return nil
}

// lost reports whether an error of bring says that the bytes are nowhere, rather
// than that this peer could not take them.
func lost(err error) bool {
	for _, kind := range []error{errNoHolder, swarm.ErrLost, swarm.ErrUnreachable, swarm.ErrCorrupt, objects.ErrNotFound} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// notHere reports whether an object is to be brought, or on its way already: who
// brings it then waits with those that do.
func notHere(err error) bool {
	return errors.Is(err, objects.ErrNotFound) || errors.Is(err, objects.ErrNotSealed)
}

// pinHere pins a stored object, bringing it if it is not here. src may be nil.
func (n *Node) pinHere(ctx context.Context, id raygo.ObjectID, src *sched.Source) (objects.Extent, error) {
	ids := []raygo.ObjectID{id}
	xs, err := n.store.Pin(ctx, ids)
	if notHere(err) && src != nil {
		if err = n.bring(ctx, src, swarm.ForGet, true); err == nil {
			xs, err = n.store.Pin(ctx, ids)
			n.store.Unpin(ids...)
		}
	}
	if err != nil {
		return objects.Extent{}, err
	}
	return xs[0], nil
}

// deliver pins a stored object for a process and tells it where the bytes are.
func (n *Node) deliver(p *proc, e *sched.Notify) {
	v := e.Value
	if x, ok := n.store.TryPin([]raygo.ObjectID{v.Store}); ok {
		p.giveView(e.Object, &v, x[0])
		return
	}
	note := *e
	n.wg.Go(func() {
		x, err := n.pinHere(n.ctx, v.Store, note.Source)
		n.mu.Lock()
		switch {
		case p.gone:
			if err == nil {
				n.store.Unpin(v.Store)
			}
		case err == nil:
			p.giveView(note.Object, &v, x)
		case note.Source != nil && lost(err):
			n.log.Info("an object could not be brought", "object", note.Object, "holders", note.Source.Holders, "err", err)
			n.step(&sched.FetchLost{Proc: p.id, Object: note.Object, Mode: note.Mode, Denied: note.Source.Holders})
		default:
			p.refuse(note.Object, storeFailure("bring", note.Object, err))
		}
		flush := n.endTurn()
		n.mu.Unlock()
		flushAll(flush)
	})
}

// fetch brings a task's stored arguments into memory, all or none.
func (n *Node) fetch(e *sched.Fetch) {
	f := &fetch{award: e.Award, ids: e.Objects}
	n.fetches[e.Task] = f
	if xs, ok := n.store.TryPin(e.Objects); ok {
		f.pinned(xs)
		n.later(&sched.ArgsReady{Task: e.Task, Award: e.Award})
		return
	}
	ctx, cancel := context.WithCancel(n.ctx)
	f.cancel = cancel
	order := *e
	n.wg.Go(func() {
		defer cancel()
		xs, failed := n.bringArgs(ctx, &order)
		n.mu.Lock()
		switch {
		case n.fetches[order.Task] != f: // withdrawn meanwhile
			if failed == nil {
				n.store.Unpin(order.Objects...)
			}
		case failed != nil:
			delete(n.fetches, order.Task)
			n.step(failed)
		default:
			f.cancel = nil
			f.pinned(xs)
			n.step(&sched.ArgsReady{Task: order.Task, Award: order.Award})
		}
		flush := n.endTurn()
		n.mu.Unlock()
		flushAll(flush)
	})
}

// bringArgs pins what it can get. Copies are not pinned one by one, or tasks that
// have half of theirs would wait for each other's room; they may go again
// meanwhile, then they are brought again.
func (n *Node) bringArgs(ctx context.Context, e *sched.Fetch) ([]objects.Extent, *sched.ArgsFailed) {
	failed := &sched.ArgsFailed{Task: e.Task, Award: e.Award}
	for try := 1; ; try++ {
		xs, err := n.store.Pin(ctx, e.Objects)
		if err == nil {
			return xs, nil
		}
		if !notHere(err) || len(e.Sources) == 0 || try > bringTries {
			failed.Failure = storeFailure("bring an argument of", raygo.ObjectID{}, err)
			return nil, failed
		}
		if n.bringAll(ctx, e.Sources, failed); failed.Failure != nil {
			return nil, failed
		}
	}
}

// bringAll brings what is not here, at the same time, and notes in failed what
// cannot be had.
func (n *Node) bringAll(ctx context.Context, sources []sched.Source, failed *sched.ArgsFailed) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range sources {
		src := &sources[i]
		if info, ok := n.store.Info(src.Object); ok && info.State != objects.Writing {
			continue
		}
		wg.Go(func() {
			err := n.bring(ctx, src, swarm.ForArguments, false)
			if err == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			failed.Failure = storeFailure("bring", src.Object, err)
			if lost(err) {
				failed.Missing = append(failed.Missing, src.Object)
				failed.Denied = append(failed.Denied, src.Holders...)
			}
		})
	}
	wg.Wait()
}

// copyHere makes a copy behind everything else. The loop is held.
func (n *Node) copyHere(e *sched.CopyHere) {
	src := e.Source
	n.wg.Go(func() {
		wait := copyRetry
		for try := 1; ; try++ {
			err := n.bring(n.ctx, &src, swarm.ForCopy, false)
			if err == nil {
				n.do(&sched.Copied{Object: src.Object}) // it may have been here all along, of which the last owner knew
				return
			}
			if n.ctx.Err() != nil {
				return
			}
			n.log.Warn("keep a copy of an object", "object", src.Object, "holders", src.Holders, "try", try, "err", err)
			if try == copyTries {
				n.do(&sched.Evicted{Object: src.Object}) // whoever wants it here asks another peer
				return
			}
			select {
			case <-time.After(wait):
				wait *= 2
			case <-n.ctx.Done():
				return
			}
		}
	})
}

// A copy is tried so often, with pauses that double: a peer that leaves waits
// for it.
const (
	copyTries = 6
	copyRetry = 250 * time.Millisecond
)

// evicted tells the core of copies that the store dropped.
func (n *Node) evicted(ids []raygo.ObjectID) {
	evs := make([]sched.Event, len(ids))
	for i, id := range ids {
		evs[i] = &sched.Evicted{Object: id}
		n.mesh.withdraw(id)
	}
	n.do(evs...)
}

// named tells the core the CID of a value made here, and others that it is here.
func (n *Node) named(id raygo.ObjectID, c cid.Cid) {
	if n.mesh == nil || !n.mesh.joined() {
		return
	}
	n.do(&sched.Named{Object: id, CID: c.String()})
	n.mesh.provide(id, c)
}
