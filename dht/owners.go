package dht

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	kad "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/routing"

	"github.com/raygo/raygo"
)

// owners keeps alive the records of ownership that this peer has put: peers
// drop records with age, and do not pass them on when one of them dies.
type owners struct {
	d    *DHT
	wake chan struct{}

	mu      sync.Mutex
	closed  bool
	kept    map[raygo.JobID]*kept
	stirred time.Time // when all were last made due because there are more peers
	grownAt time.Time // when the table last grew while it was small
}

// stirEvery is how often new peers are a reason to look at all kept records.
const stirEvery = 30 * time.Second

// kept is one record that is put again and again.
type kept struct {
	record OwnerRecord
	value  []byte
	due    time.Time
	fails  int
}

func newOwners(d *DHT) *owners {
	return &owners{d: d, wake: make(chan struct{}, 1), kept: map[raygo.JobID]*kept{}}
}

// PutOwner publishes who owns a job and keeps the record alive until DropOwner
// or until a better one turns up. A record without a signature is made this
// peer's and signed with the host's key. When nobody can be told within ctx or
// LookupTimeout, the record is kept and told later, and there is no error.
// Errors: ErrInvalid, ErrStale, ErrFull, ErrClosed.
func (d *DHT) PutOwner(ctx context.Context, r OwnerRecord) error {
	o := d.owners
	k, err := o.admit(r)
	if err != nil {
		return fmt.Errorf("put owner of job %s: %w", r.Job, err)
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.LookupTimeout)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	if err := o.put(ctx, k); errors.Is(err, ErrStale) {
		return fmt.Errorf("put owner of job %s: %w", r.Job, err)
	}
	return nil
}

// admit signs and checks a record and puts it into the table.
func (o *owners) admit(r OwnerRecord) (*kept, error) {
	c := o.d.cfg
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, ErrClosed
	}
	old, ok := o.kept[r.Job]
	if !ok && len(o.kept) >= c.MaxOwners {
		o.d.metrics.full.WithLabelValues("owners").Inc()
		return nil, fmt.Errorf("%d records: %w", len(o.kept), ErrFull)
	}
	if len(r.Guardians) > maxGuardians || r.Epoch >= maxEpoch {
		return nil, fmt.Errorf("%w: a field is out of bounds", ErrInvalid)
	}
	if len(r.Sig) == 0 {
		if ok && old.record.Epoch == r.Epoch && old.record.Peer == o.d.self {
			if slices.Equal(old.record.Guardians, r.Guardians) {
				return old, nil
			}
			r.Seq = max(r.Seq, old.record.Seq+1)
		}
		key := c.Host.Peerstore().PrivKey(o.d.self)
		if key == nil {
			return nil, fmt.Errorf("%w: the host has no key to sign with", ErrInvalid)
		}
		if err := r.Sign(c.Cluster, key); err != nil {
			return nil, err
		}
	}
	if ok && old.record.Beats(r) {
		return nil, ErrStale
	}
	value, err := r.Marshal()
	if err != nil {
		return nil, err
	}
	if err := (validator{c.Cluster, c.Member}).Validate(ownerKey(r.Job), value); err != nil {
		return nil, err
	}
	k := &kept{record: r, value: value, due: time.Now().Add(c.LookupTimeout)}
	o.kept[r.Job] = k
	poke(o.wake)
	return k, nil
}

// put publishes one record once.
func (o *owners) put(ctx context.Context, k *kept) error {
	err := o.d.kad.PutValue(ctx, ownerKey(k.record.Job), k.value)
	if err != nil {
		// One reason is a better record that this peer keeps for others.
		if r, ok := o.best(ctx, k.record.Job, kad.Quorum(1)); ok && r.Beats(k.record) {
			return o.lost(k, r)
		}
	} else if o.d.kad.RoutingTable().Size() == 0 {
		err = errors.New("nobody to tell")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.kept[k.record.Job] != k:
	case err == nil:
		o.d.metrics.owners.WithLabelValues("placed").Inc()
		k.fails, k.due = 0, time.Now().Add(again(time.Since(o.grownAt), o.d.cfg.OwnerAge/3))
	default:
		o.d.metrics.owners.WithLabelValues("later").Inc()
		k.due = time.Now().Add(min(retryFirst<<min(k.fails, 10), retryLast))
		k.fails++
	}
	return err
}

// again puts a record that has been put before, unless peers turn out to have a
// better one: they refuse an old record without saying so.
func (o *owners) again(ctx context.Context, k *kept) error {
	if r, ok := o.best(ctx, k.record.Job, kad.Quorum(0)); ok && r.Beats(k.record) {
		return o.lost(k, r)
	}
	return o.put(ctx, k)
}

// lost stops keeping a record that another one beats.
func (o *owners) lost(k *kept, better OwnerRecord) error {
	o.mu.Lock()
	current := o.kept[k.record.Job] == k
	if current {
		delete(o.kept, k.record.Job)
	}
	o.mu.Unlock()
	if current {
		o.d.metrics.owners.WithLabelValues("stale").Inc()
		o.d.cfg.Superseded(better)
	}
	return ErrStale
}

// best is the best record that can be had, quickly.
func (o *owners) best(ctx context.Context, job raygo.JobID, quorum routing.Option) (OwnerRecord, bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.d.cfg.LookupTimeout)
	defer cancel()
	defer context.AfterFunc(o.d.ctx, cancel)()
	value, _ := o.d.kad.GetValue(ctx, ownerKey(job), quorum) // what was found before ctx ended counts
	if value == nil {
		return OwnerRecord{}, false
	}
	r, err := ParseOwner(value)
	return r, err == nil
}

// stir has all records looked at soon, since there are peers that were not
// there before: the other side of a partition may have better ones, and in a
// table that was small they may be looked for where they were not put.
func (o *owners) stir(small bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if small {
		o.grownAt = now
	} else if now.Sub(o.stirred) < stirEvery {
		return
	}
	o.stirred = now
	for _, k := range o.kept {
		if t := now.Add(jitter(soon)); t.Before(k.due) {
			k.due = t
		}
	}
	poke(o.wake)
}

// Owner looks up who owns a job; it takes no longer than LookupTimeout. The
// record's signature has been checked. ErrNotFound: nobody asked has one.
func (d *DHT) Owner(ctx context.Context, job raygo.JobID) (OwnerRecord, error) {
	if d.ctx.Err() != nil {
		return OwnerRecord{}, ErrClosed
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, d.cfg.LookupTimeout)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	// Two answers that can be checked by themselves are usually as good as all:
	// the epochs say which one to believe.
	r, err := d.owner(ctx, job, kad.Quorum(1))
	if err == nil && r.Peer != d.self && !d.cfg.Alive(r.Peer) {
		// A dead owner may have a successor that those two do not know of.
		if all, err := d.owner(ctx, job, kad.Quorum(0)); err == nil && all.Beats(r) {
			r = all
		}
	}
	outcome := "found"
	switch {
	case errors.Is(err, ErrNotFound):
		outcome = "none"
	case err != nil:
		outcome = "late"
	}
	d.metrics.lookups.WithLabelValues("owner", outcome).Inc()
	d.metrics.seconds.WithLabelValues("owner").Observe(time.Since(start).Seconds())
	if err != nil {
		return OwnerRecord{}, fmt.Errorf("find owner of job %s: %w", job, err)
	}
	return r, nil
}

// owner is one lookup.
func (d *DHT) owner(ctx context.Context, job raygo.JobID, quorum routing.Option) (OwnerRecord, error) {
	value, _ := d.kad.GetValue(ctx, ownerKey(job), quorum)
	switch {
	case value != nil: // perhaps not all were asked in time
		return ParseOwner(value)
	case ctx.Err() != nil:
		return OwnerRecord{}, ctx.Err()
	default: // kad-dht calls it not found, or no peer in the table
		return OwnerRecord{}, ErrNotFound
	}
}

// DropOwner stops keeping a job's record alive: the job has ended, or is
// another's.
func (d *DHT) DropOwner(job raygo.JobID) {
	d.owners.mu.Lock()
	defer d.owners.mu.Unlock()
	delete(d.owners.kept, job)
}

func (o *owners) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
}

func (o *owners) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.kept)
}

// run puts again what is due, one after another: there is no hurry, and a job's
// record is put at once by PutOwner itself.
func (o *owners) run(ctx context.Context) {
	for {
		k, wait := o.next(time.Now())
		if k == nil {
			if sleep(ctx, wait, o.wake, nil) == stopped {
				return
			}
			continue
		}
		one, cancel := context.WithTimeout(ctx, placeTimeout)
		if err := o.again(one, k); err != nil {
			o.d.cfg.Logger.Debug("record of ownership not put", "job", k.record.Job, "err", err)
		}
		cancel()
		if ctx.Err() != nil {
			return
		}
	}
}

// next is the record that is most overdue, or how long none is.
func (o *owners) next(now time.Time) (*kept, time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var first *kept
	for _, k := range o.kept {
		if first == nil || k.due.Before(first.due) {
			first = k
		}
	}
	if first == nil {
		return nil, o.d.cfg.OwnerAge
	}
	if wait := first.due.Sub(now); wait > 0 {
		return nil, wait
	}
	return first, 0
}
