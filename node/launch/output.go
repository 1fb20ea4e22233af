package launch

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// output reads one stream of a worker and passes its lines on: to the caller, to
// the log file, and to the tail that an Exit shows.
type output struct {
	file   *os.File
	raw    syscall.RawConn
	stderr bool
	each   func(stderr bool, line []byte)
	log    *logFile
	tail   tail
	done   chan struct{}

	mu  sync.Mutex // guards buf, and keeps what is read and its passing on together
	buf []byte
}

func newOutput(f *os.File, stderr bool, each func(bool, []byte), base, ext string, log *slog.Logger) *output {
	o := &output{file: f, stderr: stderr, each: each, done: make(chan struct{})}
	o.raw, _ = f.SyscallConn() // only a closed file has none
	if base != "" {
		o.log = &logFile{path: base + ext, half: MaxLog / 2, log: log}
	}
	return o
}

// run reads to the end of the stream. A line without an end is passed on when
// the stream ends or the line has MaxLine bytes.
func (o *output) run() {
	defer close(o.done)
	defer o.file.Close()
	var end bool
	for !end {
		err := o.raw.Read(func(fd uintptr) bool {
			var again bool
			_, again, end = o.readOnce(int(fd))
			return !again
		})
		end = end || err != nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.buf) > 0 {
		o.line(o.buf)
	}
	if o.log != nil {
		o.log.close()
	}
}

// drain passes on what the worker has written so far, without waiting and
// without following a writer that never stops.
func (o *output) drain() {
	_ = o.raw.Control(func(fd uintptr) {
		for left := o.unread(int(fd)); left > 0; {
			n, again, end := o.readOnce(int(fd))
			if again || end {
				return
			}
			left -= n
		}
	})
}

// unread is how much is in the pipe when all that was read is passed on.
func (o *output) unread(fd int) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

// readOnce reads what is there and passes its lines on, as one action: who
// drains may rely on it that nothing is read and not yet passed on. again says
// that nothing is there yet, end that nothing will be.
func (o *output) readOnce(fd int) (n int, again, end bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.buf) == cap(o.buf) {
		o.buf = append(make([]byte, 0, min(max(2*cap(o.buf), 4<<10), MaxLine)), o.buf...)
	}
	n, err := unix.Read(fd, o.buf[len(o.buf):cap(o.buf)])
	switch {
	case errors.Is(err, unix.EAGAIN):
		return 0, true, false
	case errors.Is(err, unix.EINTR):
		return 0, false, false
	case err != nil || n == 0:
		return 0, false, true
	}
	if o.log != nil {
		o.log.write(o.buf[len(o.buf) : len(o.buf)+n])
	}
	o.buf = o.lines(o.buf[:len(o.buf)+n])
	return n, false, false
}

// lines passes on the whole lines of buf and returns what is left, moved to the
// front.
func (o *output) lines(buf []byte) []byte {
	rest := buf
	for {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			break
		}
		o.line(bytes.TrimSuffix(rest[:i], []byte("\r")))
		rest = rest[i+1:]
	}
	if len(rest) >= MaxLine {
		o.line(rest)
		rest = nil
	}
	return buf[:copy(buf, rest)]
}

func (o *output) line(b []byte) {
	if o.stderr {
		o.tail.add(b)
	}
	if o.each != nil {
		o.each(o.stderr, b)
	}
}

// endBy waits for the end of the stream, at the latest until the given time.
func (o *output) endBy(t time.Time) {
	_ = o.file.SetReadDeadline(t) // already closed: the reader is done
	<-o.done
}

// tail keeps the last lines of a stream.
type tail struct {
	kept []string
	size int
}

func (t *tail) add(b []byte) {
	s := strings.ToValidUTF8(string(b[max(0, len(b)-TailBytes):]), "\uFFFD")
	t.kept = append(t.kept, s)
	t.size += len(s)
	for len(t.kept) > TailLines || (t.size > TailBytes && len(t.kept) > 1) {
		t.size -= len(t.kept[0])
		t.kept = t.kept[1:]
	}
}

func (t *tail) lines() []string { return append([]string(nil), t.kept...) }
