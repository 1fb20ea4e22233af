package raygo

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/sys/unix"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// fakePeer is the other end of a session under test: what the session sends
// arrives in frames, and tests say what is answered.
type fakePeer struct {
	conn   *ipc.Conn
	frames chan ipc.Type
	answer atomic.Pointer[func(t ipc.Type, payload []byte)] // what it does with a frame; or nil
}

// fakeSession attaches a driver to a peer that answers nothing but the hello.
func fakeSession(t testing.TB) (*Session, *fakePeer) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ends := [2]*ipc.Conn{}
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "end")
		c, err := net.FileConn(f)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		ends[i] = ipc.NewConn(c.(*net.UnixConn), 0)
	}
	p := &fakePeer{conn: ends[1], frames: make(chan ipc.Type, 1000)}
	go p.serve()
	s, err := attach(context.Background(), ends[0], ipc.RoleDriver, config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Close()
		_ = p.conn.Close()
	})
	return s, p
}

func (p *fakePeer) serve() {
	defer close(p.frames)
	for {
		t, b, err := p.conn.Read()
		if err != nil {
			return
		}
		if t == ipc.TypeHello {
			_ = p.conn.SendWelcome(&ipc.Welcome{Version: 1, Job: words.NewJobID(), Proc: 7, Peer: "12D3KooWFake", InlineLimit: words.InlineLimit}, nil)
			continue
		}
		if answer := p.answer.Load(); answer != nil {
			(*answer)(t, b)
		}
		select {
		case p.frames <- t:
		default:
		}
	}
}

func (p *fakePeer) send(b []byte) {
	_ = p.conn.Send(func(out []byte) []byte { return append(out, b...) })
}

// TestOnlyASleepingWatchIsWoken: who read says so to the watch if that sleeps, and to
// no other, or each call pays for a hand-over.
func TestOnlyASleepingWatchIsWoken(t *testing.T) {
	var p pump
	p.init()
	for i, asleep := range []bool{false, true, false} {
		if i > 0 { // at first it has not begun, and is not asleep
			p.asleep.Store(asleep)
		}
		if !p.take() {
			t.Fatal("somebody reads")
		}
		p.give()
		select {
		case <-p.kick:
			if !asleep {
				t.Error("it was woken and did not sleep")
			}
		default:
			if asleep {
				t.Error("it sleeps on")
			}
		}
	}
}

// TestSmallValuesAreNotAskedFor: once a value of a type came unasked the next is not
// asked for before the peer has said that it exists and is too large for that.
func TestSmallValuesAreNotAskedFor(t *testing.T) {
	const atOnce, never, afterwards = "at once", "never", "afterwards"
	want := []string{atOnce, never, never, afterwards, atOnce, never, afterwards} // the last leaves things as they were
	s, p := fakeSession(t)
	long := text(strings.Repeat("a", ipc.PushLimit))
	inline := func(v text) *ipc.Value {
		b, err := cbor.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		return &ipc.Value{Kind: ipc.ValueInline, Format: ipc.FormatCBOR, Bytes: b}
	}
	var got []string // of the peer's reader, until frames is closed
	answer := func(f ipc.Type, b []byte) {
		n := len(got) - 1
		switch f {
		case ipc.TypeSubmit:
			call, err := ipc.ParseSubmit(b)
			if err != nil {
				t.Error(err)
			}
			got = append(got, never)
			switch want[n+1] {
			case never:
				p.send(ipc.AppendReady(nil, call.Task.Object(0), inline("a")))
			case afterwards:
				p.send(ipc.AppendReady(nil, call.Task.Object(0), &ipc.Value{Kind: ipc.ValueElsewhere, Size: 1 << 20}))
			}
		case ipc.TypeWant:
			_, ids, err := ipc.ParseWant(b)
			if err != nil {
				t.Error(err)
			}
			v := text("a")
			if got[n] = atOnce; want[n] == afterwards {
				got[n], v = afterwards, long
			}
			p.send(ipc.AppendReady(nil, ids[0], inline(v)))
		}
	}
	p.answer.Store(&answer)
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), scopeKey{}, &scope{s: s}), 30*time.Second)
	defer cancel()
	for i := range want {
		if v, err := Get(ctx, textFunc.Remote(ctx, i)); err != nil || v != "a" && v != long {
			t.Fatalf("call %d: %d bytes, %v", i, len(v), err)
		}
	}
	_ = s.Close()
	for range p.frames { // until the reader has ended
	}
	if !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
}

// textFunc gives text, of which nobody knows beforehand how long it is.
var textFunc = Func1(someText)

// text is a type of its own: what was learnt of it is no other test's.
type text string

func someText(context.Context, int) (text, error) { return "", nil }

// FuzzFrames feeds a session whatever a broken peer might send.
func FuzzFrames(f *testing.F) {
	id := words.NewTaskID(words.JobID{1}, 7, 1)
	for _, b := range [][]byte{
		ipc.AppendReady(nil, id.Object(0), &ipc.Value{Kind: ipc.ValueInline, Bytes: []byte{1}}),
		ipc.AppendStreamState(nil, &ipc.StreamState{Task: id, Produced: 3, Ended: true}),
		ipc.AppendCancelled(nil, 1, 2),
		ipc.AppendBody(nil, ipc.TypeLog, &ipc.Log{Lines: []string{"x"}}),
		ipc.AppendNumbered(nil, ipc.TypeAnswer, 1, &ipc.Answer{}),
	} {
		f.Add(b[4], b[5:])
	}
	s, _ := fakeSession(f)
	f.Fuzz(func(_ *testing.T, typ byte, payload []byte) {
		if t := ipc.Type(typ); t != ipc.TypeLog { // its lines would be printed
			_ = s.handle(t, payload)
		}
	})
}

// A peer that sends rubbish ends the session, and whoever waits is told why.
func TestRubbishFromThePeer(t *testing.T) {
	s, p := fakeSession(t)
	ctx := s.context(context.Background())
	time.AfterFunc(10*time.Millisecond, func() {
		b, at := ipc.Begin(nil, ipc.TypeReady)
		p.send(ipc.End(append(b, 1, 2, 3), at))
	})
	r := Ref[int]{h: s.intern(words.NewTaskID(s.welcome.Job, 9, 1).Object(0))}
	_, err := Get(ctx, r)
	if !errors.Is(err, ErrPeerDied) || !errors.Is(err, ipc.ErrFrame) {
		t.Errorf("Get: %v", err)
	}
	if _, err := Put(ctx, 1); !errors.Is(err, ErrPeerDied) {
		t.Errorf("Put after it: %v", err)
	}
}

// A loop over refs does not end as if all were done when the peer dies: it gets
// every ref, and Get says of those without a value why.
func TestAsCompletedWhenThePeerDies(t *testing.T) {
	s, p := fakeSession(t)
	ctx := s.context(context.Background())
	done, err := Put(ctx, 5)
	if err != nil {
		t.Fatal(err)
	}
	unmade := func(n uint32) Ref[int] { return Ref[int]{h: s.intern(words.NewTaskID(s.welcome.Job, 9, n).Object(0))} }
	refs := []Ref[int]{unmade(1), done, unmade(2)}
	var got []Ref[int]
	for r := range AsCompleted(ctx, refs) {
		switch n, err := Get(ctx, r); {
		case r == done:
			if err != nil || n != 5 {
				t.Errorf("what was there before: %d, %v", n, err)
			}
			_ = p.conn.Close()
		case !errors.Is(err, ErrPeerDied):
			t.Errorf("what was not: %v", err)
		}
		got = append(got, r)
	}
	if !slices.Equal(got, []Ref[int]{done, refs[0], refs[2]}) {
		t.Errorf("of %v it gives %v", refs, got)
	}
}

// What is left when the peer dies is found without a look at all of it for each
// ref: with these many that would take more than a minute.
func TestAsCompletedOfManyWhenThePeerDies(t *testing.T) {
	s, p := fakeSession(t)
	refs := make([]Ref[int], 600_000)
	for i := range refs {
		refs[i] = Ref[int]{h: s.intern(words.NewTaskID(s.welcome.Job, 9, uint32(i)).Object(0))}
	}
	_ = p.conn.Close()
	ctx, cancel := context.WithTimeout(s.context(context.Background()), 30*time.Second)
	defer cancel()
	i := 0
	for r := range AsCompleted(ctx, refs) {
		if r != refs[i] {
			t.Fatalf("ref %d is %v, want %v", i, r, refs[i])
		}
		i++
	}
	if i != len(refs) {
		t.Errorf("of %d refs it gives %d", len(refs), i)
	}
}

// A refusal is said to whoever waits.
func TestTheRefusalOfThePeer(t *testing.T) {
	s, p := fakeSession(t)
	p.send(ipc.AppendBody(nil, ipc.TypeRefused, words.Fail(words.CodeRefused, "you sent nonsense")))
	_, err := Nodes(s.context(context.Background()))
	if !errors.Is(err, ErrRefused) {
		t.Errorf("Nodes: %v", err)
	}
}

// behaviour 134: a dropped ref is released without the program's doing.
func TestDroppedRefsAreReleased(t *testing.T) {
	s, p := fakeSession(t)
	ctx := s.context(context.Background())
	if _, err := Put(ctx, "dropped"); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(5 * time.Second)
	for {
		select {
		case typ := <-p.frames:
			if typ == ipc.TypeRelease {
				return
			}
		case <-deadline:
			t.Fatal("no Release came")
		}
	}
}

// behaviour 37: bytes that nobody sends are a timeout, not for ever.
func TestNoSource(t *testing.T) {
	s, _ := fakeSession(t)
	ctx, cancel := context.WithTimeout(s.context(context.Background()), 20*time.Millisecond)
	defer cancel()
	r := Ref[int]{h: s.intern(words.NewTaskID(s.welcome.Job, 9, 1).Object(0))}
	if _, err := Get(ctx, r); !errors.Is(err, ErrGetTimeout) {
		t.Errorf("Get: %v", err)
	}
}

// behaviour 142: a ref that is encoded by other means is never released.
func TestLeakedRefs(t *testing.T) {
	s, _ := fakeSession(t)
	r, err := Put(s.context(context.Background()), 1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.MarshalCBOR()
	if err != nil {
		t.Fatal(err)
	}
	e := r.h.e
	var back Ref[int]
	if err := back.UnmarshalCBOR(b); err != nil || back != r {
		t.Fatalf("read back: %v, %v", back, err)
	}
	s.mu.Lock()
	s.letGo(e)
	kept := s.table.get(e.id) == e && e.claims == 1
	e.handles++
	s.mu.Unlock()
	if !kept {
		t.Error("it was released")
	}
}
