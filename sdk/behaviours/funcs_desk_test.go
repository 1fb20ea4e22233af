package behaviours

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	raygo "github.com/raygo/raygo/sdk"
)

// patience is when a test that waits for a visitor is given up.
const patience = 30 * time.Second

var (
	visit      = raygo.Func2(visitFn)
	visitBlob  = raygo.Func3(visitBlobFn)
	visitItems = raygo.Gen2(visitItemsFn)
)

// desk is where tasks come to say that they run, and stay until they are told
// to go on. A test sees by it what runs, without looking at a clock.
type desk struct {
	path     string
	visitors chan *visitor
}

// visitor is a task that stands at the desk.
type visitor struct {
	Name    string
	PID     int
	Attempt int
	GPUIDs  []string
	Env     string // of $CUDA_VISIBLE_DEVICES
	conn    net.Conn
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	dir, err := os.MkdirTemp("", "desk") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{path: l.Addr().String(), visitors: make(chan *visitor, 4096)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			v := &visitor{conn: c}
			if json.NewDecoder(c).Decode(v) == nil {
				d.visitors <- v
			}
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
		close(d.visitors)
		for v := range d.visitors {
			_ = v.conn.Close()
		}
		_ = os.RemoveAll(dir)
	})
	return d
}

// next waits for a task to come.
func (d *desk) next(t *testing.T) *visitor {
	t.Helper()
	select {
	case v := <-d.visitors:
		t.Cleanup(func() { _ = v.conn.Close() })
		return v
	case <-time.After(patience):
		t.Fatal("nobody comes to the desk")
		return nil
	}
}

// named waits for a task that has to be the one of that name.
func (d *desk) named(t *testing.T, name string) *visitor {
	t.Helper()
	v := d.next(t)
	if v.Name != name {
		t.Fatalf("%q comes to the desk, want %q", v.Name, name)
	}
	return v
}

// several waits for n tasks.
func (d *desk) several(t *testing.T, n int) []*visitor {
	t.Helper()
	vs := make([]*visitor, n)
	for i := range vs {
		vs[i] = d.next(t)
	}
	return vs
}

// nobody checks that no further task stands there.
func (d *desk) nobody(t *testing.T) {
	t.Helper()
	select {
	case v := <-d.visitors:
		t.Fatalf("%q runs, too", v.Name)
	default:
	}
}

// leave lets a task go on; it takes the word along.
func (v *visitor) leave(t *testing.T, word string) {
	t.Helper()
	if _, err := fmt.Fprintln(v.conn, word); err != nil {
		t.Fatal(err)
	}
}

// atDesk is the task's side. Nobody there is an error.
func atDesk(ctx context.Context, path, name string) (string, error) {
	c, err := net.Dial("unix", path)
	if err != nil {
		return "", err
	}
	defer c.Close()
	in := raygo.Info(ctx)
	v := visitor{Name: name, PID: in.PID, Attempt: in.Attempt, GPUIDs: in.GPUIDs, Env: os.Getenv("CUDA_VISIBLE_DEVICES")}
	if err := json.NewEncoder(c).Encode(&v); err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	word, err := bufio.NewReader(c).ReadString('\n')
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.Is(err, io.EOF):
		return "", errors.New("the desk is closed")
	case err != nil:
		return "", err
	}
	word = word[:len(word)-1]
	if word == "die" {
		os.Exit(9)
	}
	return word, nil
}

// visitFn goes to the desk and returns the word that it is given there.
func visitFn(ctx context.Context, path, name string) (string, error) {
	return atDesk(ctx, path, name)
}

// visitBlobFn goes there with a value in its hands.
func visitBlobFn(ctx context.Context, path, name string, b []byte) (int, error) {
	_, err := atDesk(ctx, path, name)
	return len(b), err
}

// visitItemsFn yields what it is told, until that is nothing.
func visitItemsFn(ctx context.Context, path, name string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for {
			word, err := atDesk(ctx, path, name)
			if err == nil && word == "" || !yield(word, err) || err != nil {
				return
			}
		}
	}
}
