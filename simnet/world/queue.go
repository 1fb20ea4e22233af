package world

import "time"

// happening is something that is to be done at a moment of virtual time.
type happening struct {
	at  time.Duration
	seq uint64 // those of one moment come in the order in which they were asked for
	do  func()
}

// queue is a binary heap of happenings.
type queue struct {
	heap []happening
	seq  uint64
}

func (q *queue) less(i, k int) bool {
	a, b := &q.heap[i], &q.heap[k]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (q *queue) push(at time.Duration, do func()) {
	q.seq++
	q.heap = append(q.heap, happening{at, q.seq, do})
	for i := len(q.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !q.less(i, up) {
			break
		}
		q.heap[i], q.heap[up] = q.heap[up], q.heap[i]
		i = up
	}
}

func (q *queue) pop() happening {
	top := q.heap[0]
	last := len(q.heap) - 1
	q.heap[0] = q.heap[last]
	q.heap[last] = happening{}
	q.heap = q.heap[:last]
	for i := 0; ; {
		least := i
		for _, k := range [2]int{2*i + 1, 2*i + 2} {
			if k < last && q.less(k, least) {
				least = k
			}
		}
		if least == i {
			return top
		}
		q.heap[i], q.heap[least] = q.heap[least], q.heap[i]
		i = least
	}
}
