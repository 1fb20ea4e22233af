package node

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

// Bounds of what is kept of tasks' output.
const (
	maxLogFile  = 16 << 20
	maxLogFiles = 256
	maxSegments = 100_000
)

// logs are the output of workers, a file each, and which task wrote what.
type logs struct {
	dir string

	mu       sync.Mutex // guards all below
	files    map[sched.WorkerID]*logFile
	order    []*logFile
	segments map[raygo.TaskID][]segment
	tasks    []raygo.TaskID // in order of their first segment
}

type logFile struct {
	path string
	job  raygo.JobID
	f    *os.File
	size int64
}

// segment is a stretch of a log file that one task wrote.
type segment struct {
	file     *logFile
	from, to int64
}

func newLogs(dir string) (*logs, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &logs{dir: dir, files: map[sched.WorkerID]*logFile{}, segments: map[raygo.TaskID][]segment{}}, nil
}

// write appends a line to a worker's file and counts it as the task's.
func (l *logs) write(w *worker, task raygo.TaskID, line []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := l.file(w)
	if err != nil {
		return err
	}
	if f.size+int64(len(line))+1 > maxLogFile {
		return nil // said once by file, when it was filled
	}
	n, err := f.f.Write(append(bytes.Clone(line), '\n'))
	from := f.size
	f.size += int64(n)
	if f.size > maxLogFile-64<<10 {
		m, _ := fmt.Fprintf(f.f, "(raygo: this worker wrote %d MiB; what follows is not kept)\n", maxLogFile>>20)
		f.size = maxLogFile
		_ = m
	}
	if err != nil || task.IsZero() {
		return err
	}
	l.attribute(task, segment{file: f, from: from, to: from + int64(n)})
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

// file is the worker's file, made when it writes for the first time.
func (l *logs) file(w *worker) (*logFile, error) {
	if f := l.files[w.id]; f != nil {
		return f, nil
	}
	f := &logFile{path: filepath.Join(l.dir, fmt.Sprintf("%s-worker-%d.log", w.job.id, w.id)), job: w.job.id}
	var err error
	if f.f, err = os.OpenFile(f.path, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600); err != nil {
		return nil, err
	}
	l.files[w.id] = f
	if l.order = append(l.order, f); len(l.order) > maxLogFiles {
		old := l.order[0]
		l.order = l.order[1:]
		_ = old.f.Close()
		_ = os.Remove(old.path)
	}
	return f, nil
}

// ofTask reads what a task has written, from the offset given in lines' bytes.
func (l *logs) ofTask(task raygo.TaskID, from int64) ([]byte, error) {
	l.mu.Lock()
	segs := append([]segment(nil), l.segments[task]...)
	l.mu.Unlock()
	return read(segs, from)
}

// ofJob reads what the workers of a job have written, file by file.
func (l *logs) ofJob(job raygo.JobID, from int64) ([]byte, error) {
	l.mu.Lock()
	var segs []segment
	for _, f := range l.order {
		if f.job == job {
			segs = append(segs, segment{file: f, to: f.size})
		}
	}
	l.mu.Unlock()
	return read(segs, from)
}

func read(segs []segment, from int64) ([]byte, error) {
	var out []byte
	for _, s := range segs {
		n := s.to - s.from
		if from >= n {
			from -= n
			continue
		}
		b := make([]byte, n-from)
		k, err := s.file.f.ReadAt(b, s.from+from)
		if k == 0 && err != nil {
			return out, fmt.Errorf("read the log %s: %w", s.file.path, err)
		}
		out = append(out, b[:k]...)
		from = 0
	}
	return out, nil
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
	var flush []*proc
	if w.job.logs {
		for _, p := range w.job.drivers {
			if p.conn.Backlog() < softBacklog {
				p.send(func(b []byte) []byte { return ipc.AppendBody(b, ipc.TypeLog, &l) })
			} else {
				n.metrics.logsDropped.Inc()
			}
		}
		flush = n.endTurn()
	}
	n.mu.Unlock()
	flushAll(flush)
	if err := n.book.logs.write(w, task, line); err != nil {
		n.log.Warn("keep a worker's output", "worker", w.id, "err", err)
	}
}

// boundary makes sure that what a task wrote before its result is counted as
// its own: the rest of the pipes is read before the result is handled.
func (p *proc) boundary() {
	if w := p.self; w != nil && (w.talks.Load() || !p.conn.Buffered()) && w.process != nil {
		w.process.DrainOutput()
	}
}
