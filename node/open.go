package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sys/unix"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/node/launch"
	"github.com/raygo/raygo/node/machine"
	"github.com/raygo/raygo/objects"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

// complete fills in defaults and checks the rest.
func (c *Config) complete() error {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	for field, d := range map[*time.Duration]time.Duration{
		&c.WorkerIdle: time.Minute, &c.WorkerStart: 30 * time.Second, &c.DrainTimeout: 30 * time.Second, &c.MemoryCheck: 250 * time.Millisecond,
		&c.PutWait: 30 * time.Second,
	} {
		if *field < 0 {
			return fmt.Errorf("a time of %s is negative", *field)
		}
		if *field == 0 {
			*field = d
		}
	}
	for field, d := range map[*int]int{&c.MaxTasks: 4_000_000, &c.MaxEvents: 200_000} {
		if *field < 0 {
			return fmt.Errorf("a limit of %d is negative", *field)
		}
		if *field == 0 {
			*field = d
		}
	}
	if c.MemoryHigh == 0 {
		c.MemoryHigh = 0.95
	}
	if c.MemoryHigh < 0 {
		return fmt.Errorf("memory share %v is negative", c.MemoryHigh)
	}
	if c.MaxWorkers < 0 {
		return fmt.Errorf("%d workers", c.MaxWorkers)
	}
	return nil
}

// open prepares everything that Run serves. What it opened is closed again if a
// later step fails.
func (n *Node) open() (err error) {
	if n.dir, err = openDataDir(&n.cfg); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	if n.cfg.Simulation == nil {
		if err = ipc.CheckSocketPath(n.cfg.Socket); err != nil {
			return fmt.Errorf("%w: listen on socket %s: %w; choose a shorter one with --socket", ErrConfig, n.cfg.Socket, err)
		}
	}
	key, err := n.identify()
	if err != nil {
		return err
	}
	place, err := n.joinCluster(key)
	if err != nil {
		return err
	}
	if n.res, err = n.resources(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if n.cfg.MaxWorkers == 0 {
		n.cfg.MaxWorkers = 64 + 16*int(max(1, n.res.CPU/raygo.Unit))
	}
	spill, err := n.dir.spill(n.cfg.SpillDir)
	if err != nil {
		return err
	}
	sc := objects.Config{Limit: n.cfg.ObjectStoreMemory, SpillDir: spill, DiskHigh: n.cfg.DiskHigh, PutWait: n.cfg.PutWait, Dropped: n.evicted, Named: n.named, Logger: n.log}
	if err = sc.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if n.store, err = objects.Open(sc); err != nil {
		return fmt.Errorf("open the object store: %w", err)
	}
	logs := filepath.Join(n.dir.path, "logs")
	if n.cfg.Simulation == nil {
		n.launcher, err = launch.New(launch.Config{TempDir: filepath.Join(n.dir.path, "tmp"), LogDir: "", Hide: []string{n.dir.keys()}, HasGPUs: len(n.res.GPUIDs) > 0, Logger: n.log})
	}
	if err != nil {
		return fmt.Errorf("prepare to start workers: %w", err)
	}
	if n.book, err = newBook(n.cfg, logs); err != nil {
		return fmt.Errorf("open the log directory: %w", err)
	}
	n.core = sched.New(sched.Config{
		Self: n.id, Seed: uint64(n.tag), Resources: n.res, Labels: n.cfg.Labels,
		MaxWorkers: n.cfg.MaxWorkers, MaxTasks: n.cfg.MaxTasks, WorkerIdle: n.cfg.WorkerIdle,
	})
	n.timer = time.NewTimer(time.Hour)
	n.metrics = newMetrics(n)
	if err = n.listenHTTP(); err != nil {
		return err
	}
	if err = n.openMesh(key, place); err != nil {
		return err
	}
	if n.cfg.Simulation != nil {
		return nil
	}
	return n.listen()
}

// identify reads the peer's key, or makes it.
func (n *Node) identify() (crypto.PrivKey, error) {
	key, err := n.dir.key()
	if err != nil {
		return nil, fmt.Errorf("read the peer's key: %w", err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("derive the peer's ID: %w", err)
	}
	n.id, n.tag = id.String(), tagOf([]byte(id))
	n.nextProc = mathrand.Uint32() // a restarted peer must not give its processes the IDs of those before: other peers' jobs go on
	return key, nil
}

// resources are what the peer offers.
func (n *Node) resources() (sched.Resources, error) {
	var r sched.Resources
	m, err := machine.Detect(context.Background(), machine.Options{GPUs: n.cfg.GPUs})
	if err != nil {
		return r, err
	}
	cpus := n.cfg.CPUs
	switch {
	case n.cfg.Client:
		return sched.Resources{Custom: map[string]raygo.Quantity{}}, nil
	case cpus < 0:
		cpus = m.CPUs
	}
	if r.CPU, err = raygo.QuantityOf(cpus); err != nil {
		return r, fmt.Errorf("CPUs: %w", err)
	}
	r.GPUIDs = m.GPUIDs
	r.Memory = n.cfg.Memory
	if r.Memory == 0 {
		r.Memory = m.Memory / 10 * 7
	}
	r.Custom = map[string]raygo.Quantity{}
	for name, v := range n.cfg.Resources {
		if name == raygo.CPU || name == raygo.GPU || name == raygo.Memory || name == "" {
			return r, fmt.Errorf("custom resource %q: the name is taken; there are flags for CPUs, GPUs and memory", name)
		}
		if r.Custom[name], err = raygo.QuantityOf(v); err != nil {
			return r, fmt.Errorf("resource %s: %w", name, err)
		}
	}
	return r, nil
}

// listen opens the socket. A stale file is replaced; one that a peer serves is
// not.
func (n *Node) listen() error {
	path := n.cfg.Socket
	if err := makeSocketDir(path); err != nil {
		return fmt.Errorf("%w: the socket's directory: %w", ErrConfig, err)
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = c.Close()
		return fmt.Errorf("socket %s is %w: stop that one, or choose another with --socket", path, ErrInUse)
	} else if !errors.Is(err, os.ErrNotExist) {
		if err := removeSocket(path); err != nil {
			return err
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return fmt.Errorf("listen on socket %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false) // what is at that path by then may be another's
	if n.socket, err = os.Lstat(path); err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		_ = l.Close()
		return fmt.Errorf("close socket %s to other users: %w", path, err)
	}
	n.listener = l
	return nil
}

// orChoose adds to why nothing can listen at an address what to do about it.
func orChoose(err error, flag string) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%w: stop the program that listens there, or choose another address or port with %s (port 0 is one that is free)", err, flag)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%w: no interface of this machine has that address; choose another with %s", err, flag)
	}
	return err
}

// makeSocketDir makes the socket's directory. The default one lies where other
// users can write, so it must be ours alone; one that the user named is theirs
// to judge, the socket itself is closed to others in any case.
func makeSocketDir(path string) error {
	if path == ipc.DefaultSocket() {
		return ipc.MakeSocketDir(path)
	}
	return os.MkdirAll(filepath.Dir(path), 0o700)
}

// absolute is a path as others find it, wherever they are. What listens on it keeps the
// one that was given, which may be short enough where this is not.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

func removeSocket(path string) error {
	st, err := os.Lstat(path)
	if err != nil {
		return nil
	}
	if st.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%w: %s is there and is not a socket", ErrConfig, path)
	}
	return os.Remove(path)
}

// unlisten closes the socket and removes its file, unless that is one which
// another peer made after ours had been deleted.
func (n *Node) unlisten() {
	if n.listener == nil {
		return
	}
	if st, err := os.Lstat(n.cfg.Socket); err == nil && os.SameFile(st, n.socket) {
		_ = os.Remove(n.cfg.Socket)
	}
	_ = n.listener.Close()
}

// close gives back what open took.
func (n *Node) close() {
	n.cancel()
	n.unlisten()
	n.mesh.close()
	if n.book != nil {
		n.book.close()
	}
	n.dir.close()
}

// dataDir is the peer's directory, locked against other peers.
type dataDir struct {
	path    string
	lock    *os.File
	private bool
}

const (
	lockName      = "lock"
	privatePrefix = "raygo-private-"
)

// sweepPrivate removes the directories of private peers that were killed. Those
// of living ones are locked; what is not ours to open stays.
func sweepPrivate(own string) {
	dirs, err := filepath.Glob(filepath.Join(filepath.Dir(own), privatePrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(dir) // what cannot be removed is tried again by the next peer
		}
		_ = f.Close()
	}
}

func openDataDir(c *Config) (*dataDir, error) {
	d := &dataDir{path: c.DataDir, private: c.Private}
	var err error
	switch {
	case c.Private && c.DataDir == "":
		d.path, err = os.MkdirTemp("", privatePrefix)
	case c.DataDir == "":
		d.path, err = defaultDataDir()
	default: // workers run elsewhere, and their directories are in it
		d.path, err = filepath.Abs(c.DataDir)
	}
	if err != nil {
		return nil, fmt.Errorf("choose a data directory: %w", err)
	}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return nil, fmt.Errorf("%w: make the data directory: %w", ErrConfig, err)
	}
	if c.Socket == "" {
		if c.Socket = ipc.DefaultSocket(); c.Private {
			c.Socket = filepath.Join(d.path, "peer.sock")
		}
	}
	name := lockName
	if private := c.Private && c.DataDir == ""; private {
		sweepPrivate(d.path)
		name = ".locking" // it gets its name when it is locked, or a sweep could come between
	}
	d.lock, err = os.OpenFile(filepath.Join(d.path, name), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: the data directory is not ours to write: %w", ErrConfig, err)
	}
	if err := unix.Flock(int(d.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := io.ReadAll(io.LimitReader(d.lock, 32))
		_ = d.lock.Close()
		return nil, fmt.Errorf("data directory %s is %w (process %s): stop that one, or choose another with --data-dir", d.path, ErrInUse, holder)
	}
	_ = d.lock.Truncate(0)
	_, _ = d.lock.WriteAt([]byte(fmt.Sprint(os.Getpid())), 0)
	if name != lockName {
		if err := os.Rename(d.lock.Name(), filepath.Join(d.path, lockName)); err != nil {
			d.close()
			return nil, fmt.Errorf("name the data directory's lock: %w", err)
		}
	}
	for _, sub := range []string{"keys", "tmp", "logs", "programs"} {
		if err := os.MkdirAll(filepath.Join(d.path, sub), 0o700); err != nil {
			d.close()
			return nil, fmt.Errorf("%w: make the data directory: %w", ErrConfig, err)
		}
	}
	return d, nil
}

func defaultDataDir() (string, error) {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "raygo"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("%w; set --data-dir", err)
	}
	return filepath.Join(home, ".local", "share", "raygo"), nil
}

// keysDir is the directory of the peer's keys in its data directory.
const keysDir = "keys"

func (d *dataDir) keys() string     { return filepath.Join(d.path, keysDir) }
func (d *dataDir) programs() string { return filepath.Join(d.path, "programs") }

func (d *dataDir) spill(configured string) (string, error) {
	switch configured {
	case "off":
		return "", nil
	case "":
		configured = filepath.Join(d.path, "spill")
		if err := os.MkdirAll(configured, 0o700); err != nil {
			return "", fmt.Errorf("%w: make the spill directory: %w", ErrConfig, err)
		}
	}
	return configured, nil
}

// key reads the peer's Ed25519 key, or makes one.
func (d *dataDir) key() (crypto.PrivKey, error) {
	path := filepath.Join(d.keys(), "peer.key")
	b, err := os.ReadFile(path)
	if err == nil {
		key, err := crypto.UnmarshalPrivateKey(b)
		if err != nil {
			return nil, fmt.Errorf("%s is damaged (%w); move it away, and the peer makes another: it has a new ID then, and needs a new invite if it was in a cluster", path, err)
		}
		return key, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	if b, err = crypto.MarshalPrivateKey(key); err != nil {
		return nil, err
	}
	return key, replaceFile(path, b) // half a key would be a damaged one
}

func (d *dataDir) close() {
	if d == nil {
		return
	}
	if d.private {
		_ = os.RemoveAll(d.path)
	}
	_ = d.lock.Close()
}
