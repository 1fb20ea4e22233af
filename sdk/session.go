package raygo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// Session is a process's attachment to a peer, and with it one job.
type Session struct {
	conn    *ipc.Conn
	welcome *ipc.Welcome
	arena   *arena
	out     outbox
	pump    pump
	release releases
	worker  *worker // nil in a driver
	conf    config
	hints   hints

	ctx       context.Context // ends with the session
	cancel    context.CancelCauseFunc
	stopPeer  func() error // ends a private peer or bridge
	routines  sync.WaitGroup
	closeOnce sync.Once
	seq       atomic.Uint32
	requests  atomic.Uint32

	defining sync.Mutex // guards classes, and that a class is sent before its use
	classes  map[string]uint32

	mu      sync.Mutex // guards everything below; nothing is called while it is held
	table   table
	streams map[words.TaskID]*streamCore
	pinned  uint64 // bytes of views that Get gave out
	touched bool   // refs were made since the last nudge of the collector
	allocs  map[words.ObjectID]*allocWait
	asks    map[uint32]*ask
	waits   []*waitSet // of recent calls of Wait, to go on with
	dead    error
	deaths  map[*waiter]struct{} // waiters that park

	ballast []byte
}

// ballastSize is how much of the heap is there for the garbage collector only:
// it makes its cycles as rare as they are in a process of that size. Nobody
// touches it, so it takes no memory.
const ballastSize = 16 << 20

// scope is what a context carries: the session, and the task that runs.
type scope struct {
	s    *Session
	task *running // nil in a driver
	copy bool     // values are copied out of the store, never viewed
}

type scopeKey struct{}

// scopeOf gives what ctx carries.
func scopeOf(ctx context.Context) (*scope, error) {
	if ctx == nil {
		return nil, ErrNoSession
	}
	sc, ok := ctx.Value(scopeKey{}).(*scope)
	if !ok {
		return nil, ErrNoSession
	}
	return sc, nil
}

// JobID is the session's job in hexadecimal.
func (s *Session) JobID() string { return s.welcome.Job.String() }

// Peer is the peer the session is attached to, as a libp2p peer ID.
func (s *Session) Peer() string { return s.welcome.Peer }

// connLimit bounds what a process has submitted and its peer has not read.
const connLimit = 64 << 20

// attach opens a session over a connection to a peer.
func attach(ctx context.Context, conn *ipc.Conn, role ipc.Role, conf config) (*Session, error) {
	hello, err := conf.hello(role)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	w, file, err := conn.Handshake(ctx, hello)
	if err != nil {
		_ = conn.Close()
		var f *words.Failure
		if errors.As(err, &f) {
			return nil, fmt.Errorf("attach to the peer: %w", errorOf(f))
		}
		return nil, fmt.Errorf("attach to the peer: %w", err)
	}
	s := &Session{
		conn: conn, welcome: w, conf: conf, arena: newArena(file, w.ArenaSize),
		table:   table{job: w.Job, proc: w.Proc, chunks: map[uint32]*chunk{}, other: map[words.ObjectID]*entry{}},
		classes: map[string]uint32{}, streams: map[words.TaskID]*streamCore{}, allocs: map[words.ObjectID]*allocWait{},
		asks: map[uint32]*ask{}, deaths: map[*waiter]struct{}{}, ballast: make([]byte, ballastSize),
	}
	if role == ipc.RoleWorker {
		s.worker = newWorker(s)
	}
	s.seq.Store(w.FirstSeq)
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.out.init(conn)
	s.pump.init()
	s.release.init()
	sessions.Lock()
	sessions.open = append(sessions.open, s)
	sessions.Unlock()
	s.routines.Go(s.watch)
	s.routines.Go(func() { s.out.run(s.ctx.Done()) })
	s.routines.Go(s.releaseLoop)
	return s, nil
}

func (c *config) hello(role ipc.Role) (*ipc.Hello, error) {
	dir, _ := os.Getwd()
	binaries := c.binaries
	if role == ipc.RoleDriver {
		var err error
		if binaries, err = c.allBinaries(); err != nil {
			return nil, err
		}
	}
	return &ipc.Hello{
		Role: role, PID: os.Getpid(), Program: filepath.Base(os.Args[0]), OS: runtime.GOOS, Arch: runtime.GOARCH,
		JobName: c.jobName, Functions: functionHashes(), LogToDriver: c.logToDriver, Detached: c.detached,
		Attach: c.attach, Binaries: binaries, Args: os.Args, Dir: dir,
	}, nil
}

// Close ends the session, and with it the job unless it is detached. What was
// read from it without a copy must not be used any more.
func (s *Session) Close() error { return s.end(&ipc.Goodbye{State: ipc.JobFinished}) }

// end is Close, and says how the job ended.
func (s *Session) end(g *ipc.Goodbye) error {
	var err error
	s.closeOnce.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		s.sendReleases()
		_, _ = s.out.append(ipc.AppendBody(nil, ipc.TypeGoodbye, g)) // a peer that is gone knows better
		_ = s.out.flush()
		_ = s.conn.Drain(ctx)
		s.fail(ErrSessionClosed)
		_ = s.conn.Close()
		s.pump.stop()
		s.routines.Wait()
		sessions.Lock()
		for i, x := range sessions.open {
			if x == s {
				sessions.open = append(sessions.open[:i:i], sessions.open[i+1:]...)
				break
			}
		}
		sessions.Unlock()
		s.arena.close()
		if s.stopPeer != nil {
			err = s.stopPeer()
		}
	})
	return err
}

// fail ends the session with a reason and wakes whoever waits.
func (s *Session) fail(err error) {
	s.mu.Lock()
	if s.dead == nil {
		s.dead = err
	}
	err = s.dead
	for w := range s.deaths {
		w.wake()
	}
	s.mu.Unlock()
	s.cancel(err)
}

// failure is why the session ended, nil while it has not.
func (s *Session) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead
}

// nextTask draws the ID of the next call or Put.
func (s *Session) nextTask() words.TaskID {
	return words.NewTaskID(s.welcome.Job, s.welcome.Proc, s.seq.Add(1)-1)
}
