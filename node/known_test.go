package node

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestKnownPeersOutliveTheRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), knownFile)
	now := time.Now()
	k, err := openKnown(path, now)
	if err != nil {
		t.Fatal(err)
	}
	k.saw("old", []string{"/ip4/10.0.0.1/tcp/1"}, now.Add(-2*forgetAfter))
	k.saw("a", []string{"/ip4/10.0.0.2/tcp/1"}, now.Add(-time.Hour))
	k.saw("b", []string{"/ip4/10.0.0.3/tcp/1"}, now)
	k.saw("nowhere", nil, now)
	if err := k.save(); err != nil {
		t.Fatal(err)
	}
	again, err := openKnown(path, now)
	if err != nil {
		t.Fatal(err)
	}
	all := again.all()
	if len(all) != 2 || all[0].Peer != "b" || all[1].Peer != "a" || all[1].Addrs[0] != "/ip4/10.0.0.2/tcp/1" {
		t.Errorf("the next run knows %v", all)
	}
}

func TestKnownPeersAreBounded(t *testing.T) {
	k, _ := openKnown(filepath.Join(t.TempDir(), knownFile), time.Now())
	begin := time.Now()
	for i := range maxKnown + 10 {
		k.saw(fmt.Sprint(i), make([]string, 2*maxAddrs), begin.Add(time.Duration(i)))
	}
	all := k.all()
	if len(all) != maxKnown || all[len(all)-1].Peer != "10" || len(all[0].Addrs) != maxAddrs {
		t.Errorf("%d peers are known, the one not seen for longest is %s, with %d addresses", len(all), all[len(all)-1].Peer, len(all[0].Addrs))
	}
}

func TestBadKnownPeersAreNoObstacle(t *testing.T) {
	path := filepath.Join(t.TempDir(), knownFile)
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := openKnown(path, time.Now())
	if err == nil || k == nil || len(k.all()) != 0 {
		t.Errorf("known %v, %v", k, err)
	}
}

func TestPortOfTheLastRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), portFile)
	for text, want := range map[string]string{"": "0", "4001\n": "4001", "0": "0", "70000": "0", "x": "0"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := lastPort(path); got != want {
			t.Errorf("%q gives port %s", text, got)
		}
	}
	if got := lastPort(filepath.Join(t.TempDir(), "none")); got != "0" {
		t.Errorf("no file gives port %s", got)
	}
}
