package sched

import "slices"

// queue holds a class's ready tasks: deeper ones first, so that children run
// before new parents; in order of arrival within a depth.
type queue struct {
	levels []level // by depth, shallow to deep; empty ones are dropped
	n      int
}

// level is a FIFO whose removed entries are skipped when they come up.
type level struct {
	depth int32
	tasks []*task
	head  int
}

func (q *queue) push(t *task, front bool) {
	i, ok := slices.BinarySearchFunc(q.levels, t.depth, func(l level, d int32) int { return int(l.depth) - int(d) })
	if !ok {
		q.levels = slices.Insert(q.levels, i, level{depth: t.depth})
	}
	l := &q.levels[i]
	if !front {
		l.tasks = append(l.tasks, t)
	} else if l.head > 0 {
		l.head--
		l.tasks[l.head] = t
	} else {
		l.tasks = slices.Insert(l.tasks, 0, t)
	}
	q.n++
	t.queued = true
}

// head is the task that is next, nil when there is none.
func (q *queue) head() *task {
	for len(q.levels) > 0 {
		l := &q.levels[len(q.levels)-1]
		for l.head < len(l.tasks) {
			if t := l.tasks[l.head]; t != nil && t.queued {
				return t
			}
			l.tasks[l.head] = nil
			l.head++
		}
		q.levels = q.levels[:len(q.levels)-1]
	}
	return nil
}

// pop removes the head, which must be there.
func (q *queue) pop() *task {
	t := q.head()
	l := &q.levels[len(q.levels)-1]
	l.tasks[l.head] = nil
	l.head++
	if l.head >= 1024 && l.head*2 >= len(l.tasks) {
		l.tasks = slices.Delete(l.tasks, 0, l.head)
		l.head = 0
	}
	q.n--
	t.queued = false
	return t
}

// remove takes t out wherever it is; its place is skipped later.
func (q *queue) remove(t *task) {
	if t.queued {
		t.queued = false
		q.n--
	}
}

// tail is the task that came last and least deep, nil when there is none.
func (q *queue) tail() *task {
	for i := range q.levels {
		l := &q.levels[i]
		for k := len(l.tasks) - 1; k >= l.head; k-- {
			if t := l.tasks[k]; t != nil && t.queued {
				return t
			}
		}
	}
	return nil
}
