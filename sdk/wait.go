package raygo

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"time"
	"unsafe"
)

// WaitOption is an option of Wait.
type WaitOption func(*waitSettings)

type waitSettings struct {
	timeout   time.Duration
	bounded   bool
	elsewhere bool
}

// WithTimeout bounds Wait: when d has passed it returns what is ready, without
// an error. 0 polls.
func WithTimeout(d time.Duration) WaitOption {
	return func(s *waitSettings) { s.timeout, s.bounded = max(d, 0), true }
}

// FetchLocal says whether ready means that the bytes are on this machine, which
// is the default, or somewhere.
func FetchLocal(local bool) WaitOption {
	return func(s *waitSettings) { s.elsewhere = !local }
}

// Wait waits until n of refs are ready and gives those, at most n, and the
// others, both in input order. A failed object is ready; a stream is when its
// next item or its end is there. When ctx ends first the error says so and the
// lists are still right.
//
// To consume many refs one by one, pass pending as it was returned to the next
// call: the cost of the loop is then linear. pending may share memory with refs.
func Wait[R AnyRef](ctx context.Context, refs []R, n int, opts ...WaitOption) (ready, pending []R, err error) {
	sc, err := scopeOf(ctx)
	switch {
	case err != nil:
		return nil, refs, err
	case len(refs) == 0:
		return nil, nil, nil
	case n < 1 || n > len(refs):
		return nil, refs, fmt.Errorf("wait for %d of %d refs: want at least 1 and at most all", n, len(refs))
	}
	var conf waitSettings
	for _, o := range opts {
		o(&conf)
	}
	linkAt := func(i int) link { return linkOf(refs[i]) }
	key := waitKey{uintptr(unsafe.Pointer(unsafe.SliceData(refs))), len(refs)}
	set := sc.s.recallWait(key)
	if set == nil {
		if set, err = sc.newWaitSet(len(refs), linkAt, conf.elsewhere); err != nil {
			return nil, refs, err
		}
	}
	at, err := sc.waitFor(ctx, set, n, linkAt, &conf)
	if errors.Is(err, errChanged) { // the caller changed the slice meanwhile
		set.leave()
		if set, err = sc.newWaitSet(len(refs), linkAt, conf.elsewhere); err == nil {
			at, err = sc.waitFor(ctx, set, n, linkAt, &conf)
		}
	}
	ready, pending = split(refs, at)
	if set != nil {
		sc.s.keepWait(set, waitKey{uintptr(unsafe.Pointer(unsafe.SliceData(pending))), len(pending)})
	}
	runtime.KeepAlive(refs)
	if err != nil {
		err = waitError(ctx, "wait", err)
	}
	return ready, pending, err
}

// split takes the elements at the given ascending indices out of refs. What is
// taken from the front leaves the rest where it is.
func split[R any](refs []R, at []int) (ready, pending []R) {
	if len(at) == 0 {
		return nil, refs
	}
	ready = make([]R, 0, len(at))
	for _, i := range at {
		ready = append(ready, refs[i])
	}
	if last := at[len(at)-1]; last == len(at)-1 {
		return ready, refs[last+1 : len(refs) : len(refs)]
	}
	pending = make([]R, 0, len(refs)-len(at))
	from := 0
	for _, i := range at {
		pending = append(pending, refs[from:i]...)
		from = i + 1
	}
	return ready, append(pending, refs[from:]...)
}

// AsCompleted yields refs in the order in which they become ready. It ends early
// when ctx does. When the session or its peer ends it yields what is left: Get
// says of each why it has no value.
func AsCompleted[R AnyRef](ctx context.Context, refs []R) iter.Seq[R] {
	return func(yield func(R) bool) {
		sc, err := scopeOf(ctx)
		if err != nil { // Get will say it of each
			for _, r := range refs {
				if !yield(r) {
					return
				}
			}
			return
		}
		set := sc.newRaw(len(refs), func(i int) link { return linkOf(refs[i]) }, false)
		defer set.leave()
		for range refs {
			i, err := sc.nextOf(ctx, set)
			if err != nil || !yield(refs[i]) {
				return
			}
		}
		runtime.KeepAlive(refs)
	}
}
