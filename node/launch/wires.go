package launch

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// wires are the descriptors between the peer and one worker.
type wires struct {
	conn             *net.UnixConn // ours
	out, err         *os.File      // ours: what it writes
	null, sock       *os.File      // theirs
	outWrite, errEnd *os.File      // theirs
}

func openWires() (*wires, error) {
	w := &wires{}
	if err := w.open(); err != nil {
		w.closeAll()
		return nil, err
	}
	return w, nil
}

func (w *wires) open() (err error) {
	if w.null, err = os.Open(os.DevNull); err != nil {
		return err
	}
	if w.out, w.outWrite, err = pipe(); err != nil {
		return err
	}
	if w.err, w.errEnd, err = pipe(); err != nil {
		return err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socketpair: %w", err)
	}
	w.sock = os.NewFile(uintptr(pair[1]), "worker")
	ours := os.NewFile(uintptr(pair[0]), "peer")
	defer ours.Close()
	c, err := net.FileConn(ours)
	if err != nil {
		return err
	}
	w.conn = c.(*net.UnixConn) // a unix socket pair gives nothing else
	return nil
}

// pipe gives a reading end for the netpoller and a blocking writing end.
func pipe() (r, w *os.File, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, fmt.Errorf("pipe: %w", err)
	}
	if err := unix.SetNonblock(p[0], true); err != nil {
		_, _ = unix.Close(p[0]), unix.Close(p[1])
		return nil, nil, fmt.Errorf("pipe: %w", err)
	}
	return os.NewFile(uintptr(p[0]), "output"), os.NewFile(uintptr(p[1]), "output"), nil
}

// theirs are the worker's descriptors 0 to 3.
func (w *wires) theirs() []*os.File { return []*os.File{w.null, w.outWrite, w.errEnd, w.sock} }

func (w *wires) closeTheirs() {
	for _, f := range w.theirs() {
		if f != nil {
			_ = f.Close()
		}
	}
}

func (w *wires) closeAll() {
	w.closeTheirs()
	for _, f := range []*os.File{w.out, w.err} {
		if f != nil {
			_ = f.Close()
		}
	}
	if w.conn != nil {
		_ = w.conn.Close()
	}
}
