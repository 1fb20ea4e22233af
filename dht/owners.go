package dht

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	kad "github.com/libp2p/go-libp2p-kad-dht"

	"github.com/raygo/raygo"
)

// owners keeps alive the records of ownership that this peer has put: peers
// drop records with age, and do not pass them on when one of them dies.
type owners struct {
	d    *DHT
	wake chan struct{}

	mu     sync.Mutex
	closed bool
	kept   map[raygo.JobID]*kept
}

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
	key := ownerKey(k.record.Job)
	err := o.d.kad.PutValue(ctx, key, k.value)
	if err != nil && o.beaten(ctx, key, k) {
		err = ErrStale
	}
	if err == nil && o.d.kad.RoutingTable().Size() == 0 {
		err = errors.New("nobody to tell")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.kept[k.record.Job] != k {
		return err
	}
	switch {
	case err == nil:
		o.d.metrics.owners.WithLabelValues("placed").Inc()
		k.fails, k.due = 0, time.Now().Add(jitter(o.d.cfg.OwnerAge/3))
	case errors.Is(err, ErrStale):
		o.d.metrics.owners.WithLabelValues("stale").Inc()
		delete(o.kept, k.record.Job)
	default:
		o.d.metrics.owners.WithLabelValues("later").Inc()
		k.due = time.Now().Add(min(retryFirst<<min(k.fails, 10), retryLast))
		k.fails++
	}
	return err
}

// beaten reports whether a better record is known, which is one reason of
// kad-dht to refuse a put. Its own record comes first, so this is quick.
func (o *owners) beaten(ctx context.Context, key string, k *kept) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settle)
	defer cancel()
	value, _ := o.d.kad.GetValue(ctx, key, kad.Quorum(1))
	if value == nil || bytes.Equal(value, k.value) {
		return false
	}
	r, err := ParseOwner(value)
	return err == nil && r.Beats(k.record)
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
	// Two answers that can be checked by themselves are as good as all: the
	// epochs say which one to believe.
	value, err := d.kad.GetValue(ctx, ownerKey(job), kad.Quorum(1))
	outcome := "found"
	var r OwnerRecord
	switch {
	case value != nil: // perhaps not all were asked in time
		r, err = ParseOwner(value)
	case ctx.Err() != nil:
		outcome, err = "late", ctx.Err()
	default:
		outcome, err = "none", ErrNotFound // kad-dht calls it not found, or no peer in the table
	}
	d.metrics.lookups.WithLabelValues("owner", outcome).Inc()
	d.metrics.seconds.WithLabelValues("owner").Observe(time.Since(start).Seconds())
	if err != nil {
		return OwnerRecord{}, fmt.Errorf("find owner of job %s: %w", job, err)
	}
	return r, nil
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
		if err := o.put(one, k); err != nil {
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
