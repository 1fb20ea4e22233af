package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	raygo "github.com/raygo/raygo"
)

// maxLogRead is how much of a log is read in one piece.
const maxLogRead = 1 << 20

// logGone takes the place of output that is no longer kept.
const logGone = "(raygo: older output is not kept any more)\n"

// logReader reads what a task, or a job's workers, have written, in pieces of
// whole lines, and goes on where it was.
type logReader struct {
	l    *logs
	task raygo.TaskID
	job  raygo.JobID // when the task is zero
	done map[*logFile]int64
	gone bool // said that something is missing
}

func (l *logs) ofTask(task raygo.TaskID) *logReader {
	return &logReader{l: l, task: task, done: map[*logFile]int64{}}
}

func (l *logs) ofJob(job raygo.JobID) *logReader {
	return &logReader{l: l, job: job, done: map[*logFile]int64{}}
}

// next is the next piece; nothing when there is no more.
func (r *logReader) next() ([]byte, error) {
	for _, s := range r.segments() {
		from := max(s.from, r.done[s.file])
		if from >= s.to {
			continue
		}
		b := make([]byte, min(s.to-from, maxLogRead))
		k, err := s.file.f.ReadAt(b, from)
		switch {
		case errors.Is(err, os.ErrClosed):
			r.done[s.file] = s.to
			if !r.gone {
				r.gone = true
				return []byte(logGone), nil
			}
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return nil, fmt.Errorf("read the log %s: %w", s.file.path, err)
		}
		b = b[:bytes.LastIndexByte(b[:k], '\n')+1]
		if len(b) == 0 {
			return nil, fmt.Errorf("read the log %s: it has %d bytes less than were written", s.file.path, s.to-from-int64(k))
		}
		r.done[s.file] = from + int64(len(b))
		return b, nil
	}
	return nil, nil
}

// segments are in the order in which each file was begun.
func (r *logReader) segments() []segment {
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	if !r.task.IsZero() {
		return slices.Clone(r.l.segments[r.task])
	}
	var segs []segment
	for _, f := range r.l.order {
		if f.job == r.job {
			segs = append(segs, segment{file: f, to: f.size})
		}
	}
	return segs
}
