package node

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

// Bounds of what is kept of tasks' output.
const (
	maxLogFile  = 4 << 20
	maxLogFiles = 256
	maxSegments = 100_000
)

// logs are the output of workers, in files of their own, and which task wrote
// what.
type logs struct {
	dir string

	mu       sync.Mutex // guards all below
	files    map[sched.WorkerID]*logFile
	order    []*logFile
	segments map[raygo.TaskID][]segment
	tasks    []raygo.TaskID // in order of their first segment
}

// logFile is a part of a worker's output. When it is full the next one begins.
type logFile struct {
	worker sched.WorkerID
	part   int
	path   string
	job    raygo.JobID
	f      *os.File
	size   int64
}

// segment is a stretch of a log file that one task wrote.
type segment struct {
	file     *logFile
	from, to int64
}

// newLogs keeps logs in dir. Of what earlier peers left there the oldest goes.
func newLogs(dir string) (*logs, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := pruneLogs(dir); err != nil {
		return nil, err
	}
	return &logs{dir: dir, files: map[sched.WorkerID]*logFile{}, segments: map[raygo.TaskID][]segment{}}, nil
}

// pruneLogs leaves the newest files only.
func pruneLogs(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*-worker-*.log"))
	if err != nil || len(paths) <= maxLogFiles {
		return err
	}
	age := map[string]time.Time{}
	for _, path := range paths {
		st, err := os.Stat(path)
		if err != nil {
			return err
		}
		age[path] = st.ModTime()
	}
	slices.SortFunc(paths, func(a, b string) int { return age[a].Compare(age[b]) })
	for _, path := range paths[:len(paths)-maxLogFiles] {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// write appends a line to a worker's file and counts it as the task's.
func (l *logs) write(w *worker, task raygo.TaskID, line []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := l.file(w, int64(len(line))+1)
	if err != nil {
		return err
	}
	n, err := f.f.WriteAt(append(bytes.Clone(line), '\n'), f.size)
	if err != nil {
		return err // what is written of the line is written over by the next
	}
	from := f.size
	f.size += int64(n)
	if !task.IsZero() {
		l.attribute(task, segment{file: f, from: from, to: f.size})
	}
	return nil
}

func (l *logs) attribute(task raygo.TaskID, s segment) {
	segs := l.segments[task]
	if k := len(segs); k > 0 && segs[k-1].file == s.file && segs[k-1].to == s.from {
		segs[k-1].to = s.to
		return
	}
	if len(segs) == 0 {
		if len(l.tasks) >= maxSegments {
			delete(l.segments, l.tasks[0])
			l.tasks = l.tasks[1:]
		}
		l.tasks = append(l.tasks, task)
	}
	l.segments[task] = append(segs, s)
}

// file is the worker's file with room for a line, made when there is none.
func (l *logs) file(w *worker, room int64) (*logFile, error) {
	part := 0
	if f := l.files[w.id]; f != nil {
		if f.size+room <= maxLogFile {
			return f, nil
		}
		part = f.part + 1
	}
	f := &logFile{worker: w.id, part: part, path: filepath.Join(l.dir, fmt.Sprintf("%s-worker-%d.%d.log", w.job.id, w.id, part)), job: w.job.id}
	var err error
	if f.f, err = os.OpenFile(f.path, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600); err != nil {
		return nil, err
	}
	l.files[w.id] = f
	if l.order = append(l.order, f); len(l.order) > maxLogFiles {
		old := l.order[0]
		l.order = l.order[1:]
		if l.files[old.worker] == old {
			delete(l.files, old.worker)
		}
		_ = old.f.Close()
		_ = os.Remove(old.path)
	}
	return f, nil
}

func (l *logs) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.order {
		_ = f.f.Close()
	}
}

// output takes a line that a worker wrote: to its log file, as part of the task
// that it runs now, and to the job's drivers.
func (n *Node) output(w *worker, stderr bool, line []byte) {
	w.talks.Store(true)
	n.mu.Lock()
	task, function, _ := n.core.RunsNow(w.id)
	l := ipc.Log{Function: function, Peer: n.id, Stderr: stderr, Lines: []string{string(line)}}
	if w.process != nil {
		l.PID = w.process.PID()
	}
	switch {
	case !w.job.logs:
	case w.job.owner() != "":
		n.logTo(w.job.owner(), w.job.id, &l)
	default:
		n.logToDrivers(w.job, &l)
	}
	flush := n.endTurn()
	n.mu.Unlock()
	flushAll(flush)
	if err := n.book.logs.write(w, task, line); err != nil {
		n.log.Warn("keep a worker's output", "worker", w.id, "err", err)
	}
}

// findJob is the job of that ID, or of its beginning, whose output is kept.
func (l *logs) findJob(prefix string) (raygo.JobID, error) {
	var ids []string
	l.mu.Lock()
	for _, f := range l.order {
		ids = append(ids, f.job.String())
	}
	l.mu.Unlock()
	id, err := one("job", prefix, ids)
	if err != nil {
		return raygo.JobID{}, err
	}
	return raygo.ParseJobID(id)
}

// boundary makes sure that what a task wrote before its result is counted as
// its own: the rest of the pipes is read before the result is handled.
func (p *proc) boundary() {
	if w := p.self; w != nil && (w.talks.Load() || !p.conn.Buffered()) && w.process != nil {
		w.process.DrainOutput()
	}
}
