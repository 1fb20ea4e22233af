package raygo

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/raygo/raygo/sdk/ipc"
)

// InitOption is an option of Main and Init.
type InitOption func(*config) error

// Dialer finds a peer by other means than the SDK's own. It returns the path of
// the peer's socket and what to do when the session is over; stop may be nil.
type Dialer func(ctx context.Context) (socket string, stop func() error, err error)

type config struct {
	address     string
	conn        func(context.Context) (*ipc.Conn, error)
	inside      bool // a simulation: the collector's goroutines are not of its time
	dialer      Dialer
	jobName     string
	logToDriver bool
	binaries    map[string]string
	detached    bool
	attach      string
}

func newConfig(opts []InitOption) (config, error) {
	c := config{logToDriver: true}
	for _, o := range opts {
		if o == nil {
			continue
		}
		if err := o(&c); err != nil {
			return c, fmt.Errorf("init option: %w", err)
		}
	}
	return c, nil
}

// Address names the peer to attach to: unix:///path of its socket, or a libp2p
// multiaddr that ends in /p2p/ID.
func Address(address string) InitOption {
	return func(c *config) error { c.address = address; return nil }
}

// WithDialer attaches through d instead of an address. sdk/p2p uses it to dial
// multiaddrs itself and to carry a peer inside the program: d starts what is
// needed, returns the path of a socket that speaks the protocol of sdk/ipc, and
// a function that ends it, which the session calls last.
func WithDialer(d Dialer) InitOption {
	return func(c *config) error { c.dialer = d; return nil }
}

// JobName is what lists show for the job; the program's name unless set.
func JobName(name string) InitOption {
	return func(c *config) error { c.jobName = name; return nil }
}

// LogToDriver says whether the output of tasks reaches this process's stderr;
// it does unless set to false.
func LogToDriver(on bool) InitOption {
	return func(c *config) error { c.logToDriver = on; return nil }
}

// Binary names another build of this program, for peers of that platform. raygo
// run makes and names such builds by itself.
func Binary(goos, goarch, path string) InitOption {
	return func(c *config) error {
		abs, err := filepath.Abs(path)
		if err != nil || goos == "" || goarch == "" {
			return fmt.Errorf("Binary(%q, %q, %q): want an operating system, an architecture and a path", goos, goarch, path)
		}
		if c.binaries == nil {
			c.binaries = map[string]string{}
		}
		c.binaries[goos+"/"+goarch] = abs
		return nil
	}
}

// Detached has the job outlive this process, and the peer that it attaches to:
// when that one dies or drains, another peer takes the job over and it goes on,
// as long as there are others. A value of Put that only a dead peer had is lost,
// see Replicas.
func Detached() InitOption {
	return func(c *config) error { c.detached = true; return nil }
}

// Attach goes on with a detached job, at any peer of the cluster, whichever the
// job was started at; RefOf gives its refs.
func Attach(jobID string) InitOption {
	return func(c *config) error { c.attach = jobID; return nil }
}
