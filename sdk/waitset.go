package raygo

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// waitSet is a set of refs that somebody waits for. It outlives one call of
// Wait, so that the next one, on the refs that were left, costs no look at each.
type waitSet struct {
	s       *Session
	links   []waitLink
	nodes   []waitNode
	w       waiter
	ready   indexHeap
	removed fenwick
	first   int // no member before it is left: nextOf's cursor
	key     waitKey
	inUse   bool
	left    bool // off all lists
}

// waitKey recognizes a slice that Wait returned.
type waitKey struct {
	data uintptr
	len  int
}

// waitLink is one member: an entry or a stream. gone says that it was given out.
type waitLink struct {
	e    *entry
	st   *streamCore
	gone bool
}

// keptWaits is how many sets a session keeps for the next call.
const keptWaits = 4

var errChanged = errors.New("the slice was changed")

// indexHeap is the indices of members that are ready, lowest first.
type indexHeap []int32

func (h indexHeap) Len() int           { return len(h) }
func (h indexHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h indexHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *indexHeap) Push(x any)        { *h = append(*h, x.(int32)) }
func (h *indexHeap) Pop() any {
	x := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return x
}

// fenwick counts the members given out before an index.
type fenwick []int32

func (f fenwick) add(i int32) {
	for i++; int(i) <= len(f); i += i & -i {
		f[i-1]++
	}
}

func (f fenwick) before(i int32) (n int32) {
	for ; i > 0; i -= i & -i {
		n += f[i-1]
	}
	return n
}

// newWaitSet checks the refs and makes a set of them.
func (sc *scope) newWaitSet(n int, linkAt func(int) link, elsewhere bool) (*waitSet, error) {
	seen := make(map[any]int, n)
	for i := range n {
		l := linkAt(i)
		var k any = l.st
		if l.st == nil {
			if l.h == nil {
				return nil, fmt.Errorf("wait: ref %d: %w", i, errZeroRef)
			}
			k = l.h.e
			if s := l.h.e.s; s != nil && s != sc.s {
				return nil, fmt.Errorf("wait: ref %d belongs to another session", i)
			}
		}
		if j, ok := seen[k]; ok {
			return nil, fmt.Errorf("wait: refs %d and %d are the same", j, i)
		}
		seen[k] = i
	}
	return sc.newRaw(n, linkAt, elsewhere), nil
}

// newRaw makes a set and puts it on the lists of its members.
func (sc *scope) newRaw(n int, linkAt func(int) link, elsewhere bool) *waitSet {
	set := &waitSet{s: sc.s, links: make([]waitLink, n), nodes: make([]waitNode, n), removed: make(fenwick, n), inUse: true}
	set.w = waiter{list: true, bad: -1, left: 1}
	mode := ipc.WantLocal
	if elsewhere {
		mode = ipc.WantExists
	}
	var want []words.ObjectID
	sc.s.mu.Lock()
	for i := range n {
		l := linkAt(i)
		m := waitLink{st: l.st}
		if l.h != nil {
			m.e = l.h.e
		}
		set.links[i] = m
		if e := m.e; e != nil && e.s == sc.s && e.out.Load() == nil && !e.pushed && e.asked == askedNothing {
			e.asked = mode
			want = append(want, e.id)
		}
		set.enroll(int32(i))
	}
	sc.s.mu.Unlock()
	for len(want) > 0 {
		k := min(len(want), ipc.MaxIDs)
		_, _ = sc.s.out.append(ipc.AppendWant(nil, mode, want[:k]))
		want = want[k:]
	}
	return set
}

// enroll puts member i on the list of what it waits for, or among the ready.
// s.mu is held.
func (set *waitSet) enroll(i int32) {
	m := &set.links[i]
	if m.isReady() {
		heap.Push(&set.ready, i)
		return
	}
	n := &set.nodes[i]
	*n = waitNode{w: &set.w, index: i, level: levelExists}
	if m.st != nil {
		m.st.waiters = append(m.st.waiters, n)
		return
	}
	n.next, m.e.waiters = m.e.waiters, n
}

// isReady says whether a member is ready; a member that nothing will ever tell
// of is. s.mu is held.
func (m *waitLink) isReady() bool {
	if m.st != nil {
		return m.st.readyLocked()
	}
	return m.e == nil || m.e.s == nil || m.e.out.Load() != nil
}

// collect moves what has become ready into the heap. s.mu is held.
func (set *waitSet) collect() {
	for _, i := range set.w.ready {
		heap.Push(&set.ready, i)
	}
	set.w.ready = set.w.ready[:0]
}

// pop takes the ready member of lowest index. s.mu is held.
func (set *waitSet) pop() (int32, bool) {
	set.collect()
	for len(set.ready) > 0 {
		i := heap.Pop(&set.ready).(int32)
		if m := &set.links[i]; !m.gone {
			if m.isReady() {
				return i, true
			}
			set.enroll(i) // a stream whose item somebody took meanwhile
		}
	}
	return 0, false
}

// waitFor waits for n members and gives where they are in the caller's slice,
// ascending. Fewer come with an error, or when the timeout has passed.
func (sc *scope) waitFor(ctx context.Context, set *waitSet, n int, linkAt func(int) link, conf *waitSettings) ([]int, error) {
	var got []int32
	var err error
	wctx := ctx
	if conf.bounded {
		var cancel context.CancelFunc
		wctx, cancel = context.WithTimeout(ctx, max(conf.timeout, pollGrace))
		defer cancel()
	}
	verified := false
	s := sc.s
	for {
		s.mu.Lock()
		for len(got) < n {
			i, ok := set.pop()
			if !ok {
				break
			}
			got = append(got, i)
		}
		set.w.left = n - len(got)
		set.w.done.Store(false)
		s.mu.Unlock()
		if len(got) == n || err != nil {
			break
		}
		if !verified && !set.matches(linkAt) {
			set.restore(got)
			return nil, errChanged
		}
		verified = true
		if err = sc.wait(wctx, ipc.BlockWait, &set.w, pollGrace); err != nil && conf.bounded && ctx.Err() == nil && wctx.Err() != nil {
			err = errTimeUp
		}
	}
	if errors.Is(err, errTimeUp) {
		err = nil
	}
	return set.give(got, linkAt, err)
}

var errTimeUp = errors.New("time is up")

// give turns members into places in the caller's slice and takes them out.
func (set *waitSet) give(got []int32, linkAt func(int) link, err error) ([]int, error) {
	slices.Sort(got)
	at := make([]int, len(got))
	for k, i := range got {
		at[k] = int(i - set.removed.before(i))
		if !set.links[i].is(linkAt(at[k])) {
			set.restore(got)
			return nil, errChanged
		}
	}
	for _, i := range got {
		set.links[i].gone = true
		set.removed.add(i)
	}
	return at, err
}

func (set *waitSet) restore(got []int32) {
	set.s.mu.Lock()
	for _, i := range got {
		heap.Push(&set.ready, i)
	}
	set.s.mu.Unlock()
}

func (m *waitLink) is(l link) bool {
	if l.h != nil {
		return m.e == l.h.e
	}
	return m.st == l.st && m.e == nil
}

// matches compares the caller's slice with the members that are left.
func (set *waitSet) matches(linkAt func(int) link) bool {
	k := 0
	for i := range set.links {
		if set.links[i].gone {
			continue
		}
		if !set.links[i].is(linkAt(k)) {
			return false
		}
		k++
	}
	return true
}

// leave takes the set off all lists.
func (set *waitSet) leave() {
	set.s.mu.Lock()
	defer set.s.mu.Unlock()
	if set.left {
		return
	}
	set.left = true
	for i := range set.links {
		m, n := &set.links[i], &set.nodes[i]
		switch {
		case m.gone || n.w == nil:
		case m.st != nil:
			m.st.waiters = slices.DeleteFunc(m.st.waiters, func(x *waitNode) bool { return x == n })
		default:
			remove(&m.e.waiters, n)
		}
	}
}

// recallWait finds the set whose pending refs were returned as this slice.
func (s *Session) recallWait(k waitKey) *waitSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, set := range s.waits {
		if set.key == k && !set.inUse {
			set.inUse = true
			s.waits = append(s.waits[:i:i], s.waits[i+1:]...)
			return set
		}
	}
	return nil
}

// keepWait keeps a set for the next call, or dissolves it when little is left.
func (s *Session) keepWait(set *waitSet, k waitKey) {
	if k.len == 0 {
		set.leave()
		return
	}
	var old *waitSet
	s.mu.Lock()
	set.inUse, set.key = false, k
	if len(s.waits) >= keptWaits {
		old = s.waits[0]
		s.waits = append(s.waits[:0:0], s.waits[1:]...)
	}
	s.waits = append(s.waits, set)
	s.mu.Unlock()
	if old != nil {
		old.leave()
	}
}

// nextOf waits for the member that becomes ready next. In a session that has
// ended nothing more does, so that all are as ready as they will be.
func (sc *scope) nextOf(ctx context.Context, set *waitSet) (int32, error) {
	for {
		sc.s.mu.Lock()
		i, ok := set.pop()
		if ok {
			set.links[i].gone = true
			sc.s.mu.Unlock()
			return i, nil
		}
		set.w.left = 1
		set.w.done.Store(false)
		sc.s.mu.Unlock()
		if err := sc.wait(ctx, ipc.BlockWait, &set.w, pollGrace); err != nil {
			left, ok := set.takeFirst()
			if ctx.Err() != nil || !ok {
				return 0, err
			}
			return left, nil
		}
	}
}

// takeFirst takes the member of lowest index that is left, ready or not. All
// calls together look at each member once.
func (set *waitSet) takeFirst() (int32, bool) {
	set.s.mu.Lock()
	defer set.s.mu.Unlock()
	for ; set.first < len(set.links); set.first++ {
		if m := &set.links[set.first]; !m.gone {
			m.gone = true
			return int32(set.first), true
		}
	}
	return 0, false
}
