package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

func TestWhatIsARefusal(t *testing.T) {
	door, other := ma.StringCast("/ip4/10.0.0.1/tcp/4001"), ma.StringCast("/ip4/192.168.0.1/tcp/4001")
	refused := &os.SyscallError{Syscall: "connect", Err: syscall.ECONNREFUSED}
	at := func(a ma.Multiaddr, err error) swarm.TransportError {
		return swarm.TransportError{Address: a, Cause: fmt.Errorf("dial: %w", err)}
	}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"nothing listens":                        {&swarm.DialError{DialErrors: []swarm.TransportError{at(door, refused)}}, true},
		"somebody else does not answer either":   {&swarm.DialError{DialErrors: []swarm.TransportError{at(door, refused), at(other, context.DeadlineExceeded)}}, true},
		"somebody else refuses":                  {&swarm.DialError{DialErrors: []swarm.TransportError{at(other, refused)}}, false},
		"no answer":                              {&swarm.DialError{DialErrors: []swarm.TransportError{at(door, context.DeadlineExceeded)}}, false},
		"no answer there, somebody else refuses": {&swarm.DialError{DialErrors: []swarm.TransportError{at(door, context.DeadlineExceeded), at(other, refused)}}, false},
		"not dialled":                            {&swarm.DialError{Cause: swarm.ErrDialBackoff}, false},
		"not all is known":                       {&swarm.DialError{DialErrors: []swarm.TransportError{at(door, refused)}, Skipped: 1}, false},
		"no dial at all":                         {errors.Join(refused), false},
	} {
		if got := allRefuse(fmt.Errorf("dial a peer: %w", c.err), []ma.Multiaddr{door}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
