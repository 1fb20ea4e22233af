package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Loopback is exempt from libp2p's limits per address, so they are tested at
// addresses that are not loopback, in a network of the test's own: the test runs
// itself again in new user and network namespaces, in which nothing reaches
// another machine.

// inside is set in that process.
const inside = "RAYGO_TEST_NETNS"

// The addresses of that network.
const (
	near = "10.77.0.1"
	far  = "10.77.0.2"
)

// netns returns true in the process inside. Outside it runs that process, takes
// its result and returns false.
func netns(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		if err := setUp(); err != nil {
			t.Fatalf("set up the network: %v", err)
		}
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Skipf("this machine does not let a test make user and network namespaces (%v): limits per address are not tested here", err)
	}
	err := cmd.Wait()
	switch {
	case strings.Contains(out.String(), "--- SKIP"):
		t.Skip(out.String())
	case err != nil:
		t.Errorf("inside the namespace: %v\n%s", err, out.String())
	case !strings.Contains(out.String(), "--- PASS: "+t.Name()):
		t.Errorf("inside the namespace the test did not run:\n%s", out.String())
	default:
		t.Log(out.String())
	}
	return false
}

// setUp gives the namespace's only interface two addresses that are not
// loopback's, and lets it carry multicast.
func setUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	type request struct { // struct ifreq
		name [16]byte
		data [24]byte
	}
	set := func(name string, op uintptr, fill func(data *[24]byte)) error {
		var r request
		copy(r.name[:], name)
		fill(&r.data)
		if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), op, uintptr(unsafe.Pointer(&r))); e != 0 {
			return fmt.Errorf("%s, request %x: %w", name, op, e)
		}
		return nil
	}
	addr := func(last byte) func(*[24]byte) {
		return func(d *[24]byte) { d[0], d[4], d[5], d[6], d[7] = syscall.AF_INET, 10, 77, 0, last }
	}
	flags := func(d *[24]byte) {
		f := uint16(syscall.IFF_UP | syscall.IFF_LOOPBACK | syscall.IFF_RUNNING | syscall.IFF_MULTICAST)
		d[0], d[1] = byte(f), byte(f>>8)
	}
	return errors.Join(
		set("lo", syscall.SIOCSIFFLAGS, flags),
		set("lo:1", syscall.SIOCSIFADDR, addr(1)),
		set("lo:2", syscall.SIOCSIFADDR, addr(2)),
		set("lo", syscall.SIOCSIFFLAGS, flags),
	)
}

func tcpAt(ip string) string { return "/ip4/" + ip + "/tcp/0" }

// More peers at one address than libp2p takes, joining faster than it takes
// them, all connect; and more than it keeps are kept.
func TestManyPeersAtOneAddress(t *testing.T) {
	if !netns(t) {
		return
	}
	hub := start(t, tcpAt(near), nil)
	hub.SetStreamHandler(echoProtocol, echo)
	const peers = 200 // libp2p: 8 per address, of 16 at once; trimmed to 160
	var wg sync.WaitGroup
	next := make(chan struct{}, peers)
	for range peers {
		next <- struct{}{}
	}
	close(next)
	var mu sync.Mutex
	var all []*Host
	for range 4 {
		wg.Go(func() {
			for range next {
				h := start(t, "", func(c *Config) { c.Listen = nil })
				join(t, h, info(hub))
				mu.Lock()
				all = append(all, h)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	hub.ConnManager().TrimOpenConns(t.Context())
	if n := len(hub.Network().Peers()); n != peers {
		t.Fatalf("%d of %d peers are connected", n, peers)
	}
	for _, c := range hub.Network().Conns() {
		if ip, _ := c.RemoteMultiaddr().ValueForProtocol(ma.P_IP4); !strings.HasPrefix(ip, "10.77.") {
			t.Fatalf("a peer is connected from %s", ip)
		}
	}
	for _, h := range all[:20] {
		if _, err := ask(h, hub.ID()); err != nil {
			t.Fatalf("asking: %v", err)
		}
	}
}

// More streams of one protocol than libp2p gives one peer are open at once, so
// many that the memory they reserve is above its bound for a peer.
func TestManyStreamsWithOnePeer(t *testing.T) {
	if !netns(t) {
		return
	}
	a, b := start(t, tcpAt(near), nil), start(t, tcpAt(far), nil)
	b.SetStreamHandler(echoProtocol, echo)
	join(t, a, info(b))
	const streams = 2000 // libp2p: 75, and 1,760 of memory here
	var wg sync.WaitGroup
	errs := make(chan error, streams)
	slots := make(chan struct{}, 64) // yamux takes 256 that are not accepted
	for range streams {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			_, err := ask(a, b.ID()) // and leaves the stream open
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatalf("a stream: %v", err)
		}
	}
	open := 0
	for _, c := range b.Network().ConnsToPeer(a.ID()) {
		for _, s := range c.GetStreams() {
			if s.Protocol() == echoProtocol {
				open++
			}
		}
	}
	if open != streams {
		t.Errorf("%d of %d streams are open", open, streams)
	}
}

// A restarted peer is dialled at once at an address that is not loopback's.
func TestARestartedPeerIsDialledAtOnceElsewhere(t *testing.T) {
	if netns(t) {
		redial(t, "/ip4/"+near+"/tcp/%s")
	}
}

// By mDNS the peers of one cluster find each other, and no others.
func TestMDNSFindsTheClustersPeers(t *testing.T) {
	if !netns(t) {
		return
	}
	found := make(chan peer.ID, 64)
	member := func(cluster string) func(*Config) {
		return func(c *Config) {
			id, _ := peer.IDFromPrivateKey(c.Key)
			c.Member, c.MDNS = plain{id, cluster}, true
			c.Found = func(p peer.AddrInfo) { found <- p.ID }
		}
	}
	start(t, tcpAt(near), member("other"))
	b := start(t, tcpAt(near), member("ours"))
	c := start(t, tcpAt(far), member("ours"))
	seen := map[peer.ID]bool{}
	deadline := time.After(10 * time.Second)
	for !seen[b.ID()] || !seen[c.ID()] {
		select {
		case id := <-found:
			if id != b.ID() && id != c.ID() {
				t.Fatalf("%s was found, which is of another cluster", id)
			}
			seen[id] = true
		case <-deadline:
			t.Fatalf("%d of 2 were found", len(seen))
		}
	}
}

// A peer that cannot be dialled is reached through a relay, on a connection
// without libp2p's limits.
func TestAPeerBehindARouterIsReachedThroughARelay(t *testing.T) {
	if !netns(t) {
		return
	}
	hub := start(t, tcpAt(near), func(c *Config) { c.Relay, c.Reach = true, Public })
	at := info(hub).Addrs[0].String() + "/p2p/" + hub.ID().String()
	hidden := start(t, tcpAt(far), func(c *Config) {
		c.Relays, c.Reach = []string{at}, Private
		c.Announce = nil
	})
	hidden.SetStreamHandler(echoProtocol, echo)
	var relayed []string
	for deadline := time.Now().Add(10 * time.Second); len(relayed) == 0; time.Sleep(10 * time.Millisecond) {
		if relayed = hidden.Reachability().Relays; time.Now().After(deadline) {
			t.Fatalf("it has no relay: %+v", hidden.Reachability())
		}
	}
	key, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	other := startAs(t, key, tcpAt(far), func(c *Config) { c.HolePunch, c.Reach = true, Public })
	a, err := ma.NewMultiaddr(relayed[0])
	if err != nil {
		t.Fatal(err)
	}
	join(t, other, peer.AddrInfo{ID: hidden.ID(), Addrs: []ma.Multiaddr{a}})
	s, err := ask(other, hidden.ID())
	if err != nil {
		t.Fatal(err)
	}
	if s.Conn().Stat().Limited {
		t.Error("the connection has limits")
	}
	if r := other.Reachability(); r.Relayed < 1 || network.Connected != other.Network().Connectedness(hidden.ID()) {
		t.Errorf("reachability is %+v", r)
	}
}
