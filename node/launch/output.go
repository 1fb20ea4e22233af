package launch

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"time"
)

// output reads one stream of a worker and passes its lines on: to the caller, to
// the log file, and to the tail that an Exit shows.
type output struct {
	file   *os.File
	stderr bool
	each   func(stderr bool, line []byte)
	log    *logFile
	tail   tail
	done   chan struct{}
}

func newOutput(f *os.File, stderr bool, each func(bool, []byte), base, ext string, log *slog.Logger) *output {
	o := &output{file: f, stderr: stderr, each: each, done: make(chan struct{})}
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
	buf := make([]byte, 0, 4<<10)
	for {
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, min(2*cap(buf), MaxLine)), buf...)
		}
		n, err := o.file.Read(buf[len(buf):cap(buf)])
		if o.log != nil {
			o.log.write(buf[len(buf) : len(buf)+n])
		}
		buf = o.lines(buf[:len(buf)+n])
		if err != nil {
			break
		}
	}
	if len(buf) > 0 {
		o.line(buf)
	}
	if o.log != nil {
		o.log.close()
	}
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
