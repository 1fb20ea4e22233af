package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Program is an executable held open, so that it can be run although its file
// was replaced or deleted. It is counted: the last Close closes it.
type Program struct {
	file *os.File
	name string // the path as it was, for people
	refs atomic.Int64
}

// OpenProgram opens the program that the process with this ID runs.
func OpenProgram(pid int) (*Program, error) {
	link := fmt.Sprintf("/proc/%d/exe", pid)
	f, err := os.Open(link)
	if err != nil {
		return nil, fmt.Errorf("open the program of process %d: %w", pid, err)
	}
	name, err := os.Readlink(link)
	if err != nil {
		name = link
	}
	return newProgram(f, strings.TrimSuffix(name, " (deleted)")), nil
}

// OpenFile opens the program in a file, such as one that Keep made.
func OpenFile(path string) (*Program, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open program: %w", err)
	}
	return newProgram(f, path), nil
}

func newProgram(f *os.File, name string) *Program {
	p := &Program{file: f, name: name}
	p.refs.Store(1)
	return p
}

// Name is the path that the program had when it was opened.
func (p *Program) Name() string { return p.name }

// Path names the held file within this process, whatever became of the path it
// was opened by.
func (p *Program) Path() string { return fmt.Sprintf("/proc/self/fd/%d", p.file.Fd()) }

// Hold counts one more user and returns p.
func (p *Program) Hold() *Program {
	if p.refs.Add(1) <= 1 {
		panic("launch: a closed program is held")
	}
	return p
}

// Close gives one reference back.
func (p *Program) Close() error {
	switch n := p.refs.Add(-1); {
	case n == 0:
		return p.file.Close()
	case n < 0:
		panic("launch: a program is closed more often than held")
	}
	return nil
}

// SameFile reports whether both hold the same file.
func (p *Program) SameFile(o *Program) bool {
	a, errA := p.file.Stat()
	b, errB := o.file.Stat()
	return errA == nil && errB == nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// Size is the program's length in bytes.
func (p *Program) Size() int64 {
	st, err := p.file.Stat()
	if err != nil {
		return 0
	}
	return st.Size()
}

// ID computes the program's content ID with sum, typically objects.CIDOf.
func (p *Program) ID(sum func(r io.ReaderAt, size int64) (string, error)) (string, error) {
	p.Hold()
	defer p.Close()
	id, err := sum(p.file, p.Size())
	if err != nil {
		return "", fmt.Errorf("sum program %s: %w", p.name, err)
	}
	return id, nil
}

// Keep puts a copy of the program into dir, named by its content ID, and returns
// ID and path. A copy that is there already stays. It takes tens of
// milliseconds: callers run it beside the job. It is a copy and not a hard link,
// since a compiler may write into the old file.
func (p *Program) Keep(ctx context.Context, dir string, sum func(r io.ReaderAt, size int64) (string, error)) (id, path string, err error) {
	p.Hold()
	defer p.Close()
	if id, err = p.ID(sum); err != nil {
		return "", "", err
	}
	path = filepath.Join(dir, id)
	if st, err := os.Stat(path); err == nil && st.Size() == p.Size() {
		return id, path, nil
	}
	if err := p.copyTo(ctx, dir, path); err != nil {
		return "", "", fmt.Errorf("keep program %s: %w", p.name, err)
	}
	return id, path, nil
}

func (p *Program) copyTo(ctx context.Context, dir, path string) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".keep-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	const piece = 8 << 20
	for at, size := int64(0), p.Size(); at < size && err == nil; at += piece {
		if err = ctx.Err(); err == nil {
			_, err = io.Copy(f, io.NewSectionReader(p.file, at, min(piece, size-at)))
		}
	}
	if err == nil {
		err = f.Chmod(0o500)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// above duplicates the program's descriptor to a number that is at least least:
// out of the way of the descriptors that a fork shuffles.
func (p *Program) above(least int) (int, error) {
	fd, err := unix.FcntlInt(p.file.Fd(), unix.F_DUPFD_CLOEXEC, least)
	if err != nil {
		return -1, fmt.Errorf("duplicate the descriptor of %s: %w", p.name, err)
	}
	return fd, nil
}
