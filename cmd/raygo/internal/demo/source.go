package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrNoSource is wrapped when there is no source text to work on.
var ErrNoSource = errors.New("name a folder of source text: raygo demo FOLDER")

// batchSize is about how many bytes of files make one object.
const batchSize = 3 << 19 // 1.5 MiB

// file is one file to index.
type file struct {
	path string
	size int64
}

// source is the text to index.
type source struct {
	dir    string
	golang bool // files are Go: they are read with Go's own scanner
	files  []file
	bytes  int64
}

// findSource lists the files of folder, or of Go's own source when folder is
// empty.
func findSource(ctx context.Context, folder string) (*source, error) {
	if folder == "" {
		goroot, err := findGoroot(ctx)
		if err != nil {
			return nil, err
		}
		folder = filepath.Join(goroot, "src")
	}
	dir, err := filepath.EvalSymlinks(folder)
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; %w", err, ErrNoSource)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder; %w", dir, ErrNoSource)
	}
	s := &source{dir: dir, golang: true}
	if err := s.list(func(path string) bool { return strings.HasSuffix(path, ".go") }); err != nil {
		return nil, err
	}
	if len(s.files) == 0 {
		s.golang = false
		if err := s.list(isText); err != nil {
			return nil, err
		}
	}
	if len(s.files) == 0 {
		return nil, fmt.Errorf("there is no text file under %s; %w", dir, ErrNoSource)
	}
	return s, nil
}

// findGoroot finds Go's own source: $GOROOT, else what the go command says.
func findGoroot(ctx context.Context) (string, error) {
	root, from := os.Getenv("GOROOT"), "$GOROOT"
	if root == "" {
		from = "go env GOROOT"
		out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
		root = strings.TrimSpace(string(out))
		if err != nil || root == "" {
			return "", fmt.Errorf("Go's own source is not to be found: $GOROOT is not set and 'go env GOROOT' gives nothing; %w", ErrNoSource)
		}
	}
	if info, err := os.Stat(filepath.Join(root, "src")); err != nil || !info.IsDir() {
		return "", fmt.Errorf("%s is %s, which has no folder src with Go's own source; %w", from, root, ErrNoSource)
	}
	return root, nil
}

// list takes the regular files that keep accepts. What cannot be read is left
// out, as it is by find.
func (s *source) list(keep func(path string) bool) error {
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !keep(path) {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		s.files = append(s.files, file{path, info.Size()})
		s.bytes += info.Size()
		return nil
	})
	if err != nil {
		return fmt.Errorf("list %s: %w", s.dir, err)
	}
	return nil
}

// isText looks at the beginning of a file.
func isText(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	b := make([]byte, 4<<10)
	n, err := io.ReadFull(f, b)
	return n > 0 && (err == nil || errors.Is(err, io.ErrUnexpectedEOF)) && bytes.IndexByte(b[:n], 0) < 0
}

// batches cuts the files into runs of about batchSize bytes.
func (s *source) batches() [][]file {
	var all [][]file
	start, size := 0, int64(0)
	for i, f := range s.files {
		if i > start && size+f.size > batchSize {
			all = append(all, s.files[start:i])
			start, size = i, 0
		}
		size += f.size
	}
	return append(all, s.files[start:])
}

// batch is the text of some files behind each other.
type batch struct {
	text []byte
	ends []int // where each file ends in text
}

func readBatch(files []file) (b batch, err error) {
	size := int64(0)
	for _, f := range files {
		size += f.size
	}
	b.text = make([]byte, 0, size)
	for _, f := range files {
		t, err := os.ReadFile(f.path)
		if err != nil {
			return b, fmt.Errorf("read the source: %w", err)
		}
		b.text = append(b.text, t...)
		b.ends = append(b.ends, len(b.text))
	}
	return b, nil
}
