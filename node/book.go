package node

import (
	"sync"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

// Bounds of a peer's memory of what happened, beside Config.MaxEvents.
const (
	maxSpans      = 50_000
	maxProgress   = 100_000
	maxEndedJobs  = 1_000
	maxReplays    = 1_000
	maxReplaySize = 64 << 10
	maxReplayAll  = 32 << 20
)

// book is a peer's memory of what its tasks did: attempts that ended, spans,
// progress, output. All of it is bounded: the oldest goes first.
type book struct {
	logs *logs

	mu       sync.Mutex // guards all below
	attempts history
	spans    ring[span]
	jobs     ring[ipc.JobRow]
	progress map[raygo.TaskID]ipc.Note
	peers    map[string]*string // names in records, kept once
	replays  ring[*sched.Ended]
	kept     int // bytes of replays
}

// span is a stretch of time that a task named.
type span struct {
	note ipc.Note
	pid  int
}

// ring keeps the last so many values.
type ring[T any] struct {
	limit int
	all   []T
	next  int
}

// add returns the value that went, if one did.
func (r *ring[T]) add(v T) (old T, gone bool) {
	if len(r.all) < r.limit {
		r.all = append(r.all, v)
		return old, false
	}
	old, r.all[r.next] = r.all[r.next], v
	r.next = (r.next + 1) % r.limit
	return old, true
}

// each calls f from the oldest to the newest.
func (r *ring[T]) each(f func(*T)) {
	for i := range r.all {
		f(&r.all[(r.next+i)%len(r.all)])
	}
}

func newBook(cfg Config, dir string) (*book, error) {
	l, err := newLogs(dir)
	if err != nil {
		return nil, err
	}
	return &book{
		logs: l, progress: map[raygo.TaskID]ipc.Note{}, peers: map[string]*string{},
		attempts: newHistory(cfg.MaxEvents), spans: ring[span]{limit: maxSpans},
		jobs: ring[ipc.JobRow]{limit: maxEndedJobs}, replays: ring[*sched.Ended]{limit: maxReplays},
	}, nil
}

// ended notes an attempt that is over. It is on the path of every task.
func (b *book) ended(e *sched.Ended, cl *class) {
	if cl == nil || cl.def.Options.NoEvents {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.progress) > 0 && e.Final {
		delete(b.progress, e.Task)
	}
	r := b.attempts.slot()
	r.fill(e, cl)
	if e.Peer != "" {
		r.peer = b.peerName(e.Peer)
	}
	b.keepForReplay(e)
}

// maxPeerNames bounds the names that are kept once; with more they are kept with
// each record.
const maxPeerNames = 16_384

func (b *book) peerName(peer string) *string {
	name := b.peers[peer]
	if name == nil {
		name = &peer
		if len(b.peers) < maxPeerNames {
			b.peers[peer] = name
		}
	}
	return name
}

// ranElsewhere adds the other peers that ran attempts of a task, or of a job if
// that is zero.
func (b *book) ranElsewhere(job raygo.JobID, task raygo.TaskID, peers map[string]bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.attempts.peersOf(job, task, peers)
}

// keepForReplay keeps the arguments of the last attempts.
func (b *book) keepForReplay(e *sched.Ended) {
	size := replaySize(e)
	if size > maxReplaySize || e.Started.IsZero() {
		return
	}
	b.kept += size
	if old, gone := b.replays.add(e); gone {
		b.kept -= replaySize(old)
	}
	for i := 0; b.kept > maxReplayAll && i < len(b.replays.all); i++ {
		old := &b.replays.all[(b.replays.next+i)%len(b.replays.all)]
		b.kept -= replaySize(*old)
		*old = &sched.Ended{}
	}
}

func replaySize(e *sched.Ended) int {
	n := len(e.Args)
	for i := range e.Values {
		n += len(e.Values[i].Value.Bytes)
	}
	return n
}

// note takes a span or the progress of a running task.
func (b *book) note(p *proc, n *ipc.Note) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n.Span != "" {
		b.spans.add(span{note: *n, pid: p.pid})
		return
	}
	if _, known := b.progress[n.Task]; known || len(b.progress) < maxProgress {
		b.progress[n.Task] = *n
	}
}

// everEnded is how many attempts the book was told of.
func (b *book) everEnded() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.attempts.ever
}

// endedSince lists the attempts, oldest first, and says how many of them are
// newer than the first before that there ever were.
func (b *book) endedSince(before int) (all []attempt, fresh int) {
	b.mu.Lock()
	records := b.attempts.copy()
	fresh = min(b.attempts.ever-before, len(records))
	b.mu.Unlock()
	all = make([]attempt, len(records))
	for i := range records {
		all[i] = records[i].unpack()
	}
	return all, fresh
}

// jobEnded keeps the last state of a job.
func (b *book) jobEnded(row ipc.JobRow) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.jobs.add(row)
}

func (b *book) close() { b.logs.close() }

// note decodes what a worker says of its task.
func (p *proc) note(b []byte) error {
	var n ipc.Note
	if err := ipc.Unmarshal(b, &n); err != nil {
		return err
	}
	if len(n.Span) > 256 {
		n.Span = n.Span[:256]
	}
	p.n.book.note(p, &n)
	return nil
}
