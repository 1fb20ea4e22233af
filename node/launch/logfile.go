package launch

import (
	"cmp"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// logFile is one stream's file, made at its first byte. When it is full it
// becomes the ".1" file and a fresh one begins.
type logFile struct {
	path string
	half int64
	log  *slog.Logger
	file *os.File
	size int64
	off  bool // an error was reported; nothing more is written
}

func (l *logFile) write(b []byte) {
	if l.off || len(b) == 0 {
		return
	}
	if err := l.tryWrite(b); err != nil {
		l.off = true
		l.log.Warn("a worker's log file is given up", "file", l.path, "err", err)
	}
}

func (l *logFile) tryWrite(b []byte) (err error) {
	if l.file != nil && l.size+int64(len(b)) > l.half {
		l.close()
		if err := os.Rename(l.path, l.path+".1"); err != nil {
			return err
		}
	}
	if l.file == nil {
		if l.file, err = os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600); err != nil {
			return err
		}
		l.size = 0
	}
	n, err := l.file.Write(b)
	l.size += int64(n)
	return err
}

func (l *logFile) close() {
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}

// pruneLogs removes the oldest of the workers' files in dir above keep.
func pruneLogs(dir string, keep int) {
	if dir == "" {
		return
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) <= keep {
		return
	}
	type aged struct {
		name string
		at   time.Time
	}
	var files []aged
	for _, e := range entries {
		var info fs.FileInfo
		if strings.HasPrefix(e.Name(), "worker-") {
			if info, err = e.Info(); err == nil {
				files = append(files, aged{e.Name(), info.ModTime()})
			}
		}
	}
	slices.SortFunc(files, func(a, b aged) int { return cmp.Or(a.at.Compare(b.at), strings.Compare(a.name, b.name)) })
	for i := 0; i < len(files)-keep; i++ {
		_ = os.Remove(filepath.Join(dir, files[i].name)) // another process's watcher may have removed it
	}
}
