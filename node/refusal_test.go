package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/raygo/raygo/gossip"
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

// Of the addresses of a peer that made the link, those that are open from here
// can prove something later.
func TestDoorsAreThoseThatWereOpen(t *testing.T) {
	at := func() (*net.TCPListener, ma.Multiaddr) {
		l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		a, err := manet.FromNetAddr(l.Addr())
		if err != nil {
			t.Fatal(err)
		}
		return l, a
	}
	listens, open := at()
	defer func() { _ = listens.Close() }()
	gone, shut := at()
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	w := &whoIsThere{m: &mesh{n: &Node{ctx: t.Context()}}, tries: make(chan struct{}, 1)}
	l := &linkedPeer{}
	w.tryDoors(l, []ma.Multiaddr{shut, open})
	if !slices.EqualFunc(l.doors, []ma.Multiaddr{open}, ma.Multiaddr.Equal) {
		t.Errorf("doors %v, open is %s", l.doors, open)
	}
}

// A verdict about a link that has ended does not count against the next link.
func TestTheNextLinkIsNotJudgedByTheLast(t *testing.T) {
	learnt := time.Now()
	w := &whoIsThere{
		linked: map[string]*linkedPeer{"p": {}},
		others: map[string]*otherPeer{"p": {advert: &gossip.Advert{Peer: "p", Incarnation: 2}, learnt: learnt}},
	}
	w.judged(&gossip.Judged{Peer: "p", Incarnation: 1, Health: gossip.Gone, Broken: true, Refused: true})
	if o := w.others["p"]; !o.died.IsZero() || w.dead.Load() != 0 {
		t.Errorf("%+v", o)
	}
}
