package member

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func signature(a *Authority, b []byte) []byte { return ed25519.Sign(a.key, b) }

// asFirst is set in processes that TestLoopbackKeyIsMadeOnce starts.
const asFirst = "RAYGO_TEST_LOOPBACK_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(asFirst); dir != "" {
		a, err := LoopbackAuthority(dir)
		if err != nil {
			_, _ = os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		_, _ = os.Stdout.WriteString(a.ClusterID())
		return
	}
	os.Exit(m.Run())
}

// Processes that start at the same time agree on one key.
func TestLoopbackKeyIsMadeOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	ids := make(chan string)
	const n = 4
	for range n {
		go func() {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), asFirst+"="+dir)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
			ids <- string(out)
		}()
	}
	first := <-ids
	for range n - 1 {
		if id := <-ids; id != first {
			t.Errorf("one process has cluster %q, another %q", first, id)
		}
	}
	mode(t, filepath.Join(dir, loopbackKey))
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func mode(t *testing.T, file string) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("%s has mode %v", file, info.Mode())
	}
}

func TestClusterKeyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cluster.key")
	a, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Save(file); err != nil {
		t.Fatal(err)
	}
	mode(t, file)
	if err := a.Save(file); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a key file is replaced: %v", err)
	}
	back, err := LoadAuthority(file)
	if err != nil || back.ClusterID() != a.ClusterID() || len(a.ClusterID()) != clusterIDLen {
		t.Errorf("read back: %v, %v", back, err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadAuthority(file); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others may read: %v", err)
	}
	for _, content := range []string{"", "hello", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", strings.Repeat("x", maxKeyFile+1)} {
		bad := filepath.Join(t.TempDir(), "bad")
		if err := os.WriteFile(bad, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadAuthority(bad); err == nil {
			t.Errorf("%.20q is a cluster key", content)
		}
	}
	if _, err := LoadAuthority(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// open opens a membership in directories of a test.
func open(t *testing.T, cfg OpenConfig) (*Opened, error) {
	t.Helper()
	return Open(t.Context(), cfg)
}

func TestOpenOnLoopback(t *testing.T) {
	shared := t.TempDir()
	var ids []string
	for n := range uint64(2) {
		key, _ := testKey(t, 51+n)
		o, err := open(t, OpenConfig{Key: key, Dir: t.TempDir(), LoopbackDir: shared})
		if err != nil {
			t.Fatal(err)
		}
		if !o.Loopback || o.Authority == nil {
			t.Errorf("opened %+v", o)
		}
		ids = append(ids, o.ClusterID())
		if err := o.CheckListen([]string{"/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}); err != nil {
			t.Error(err)
		}
		if err := o.CheckListen([]string{"/ip4/0.0.0.0/tcp/0"}); err == nil || !strings.Contains(err.Error(), "raygo cluster create") {
			t.Errorf("listening on all addresses without a cluster: %v", err)
		}
	}
	if ids[0] != ids[1] {
		t.Errorf("two peers of one user are in clusters %v", ids)
	}
}

func TestOpenWithInviteAndAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cluster.key")
	if err := testAuthority(1).Save(file); err != nil {
		t.Fatal(err)
	}
	first, _ := testKey(t, 51)
	in, err := open(t, OpenConfig{Key: first, Dir: t.TempDir(), KeyFile: file})
	if err != nil {
		t.Fatal(err)
	}
	if in.Loopback || in.Authority == nil || in.CheckListen([]string{"/ip4/0.0.0.0/tcp/0"}) != nil {
		t.Errorf("opened with a key %+v", in)
	}
	h := listen(t, in.Membership, transports["tcp"])
	i := invitingFrom(t, in.Store.dir, in.Authority, in.Membership, h)
	inv := invite(t, i, RolePeer)

	dir := t.TempDir()
	key, _ := testKey(t, 52)
	cfg := OpenConfig{Key: key, Dir: dir, LoopbackDir: t.TempDir(), Invite: inv.String()}
	o, err := open(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if o.ClusterID() != in.ClusterID() || o.Authority != nil || o.Loopback || len(o.Addrs) == 0 {
		t.Errorf("joined %+v", o)
	}
	mode(t, filepath.Join(dir, joinedFile))
	mode(t, filepath.Join(in.Store.dir, invitesFile))

	// A restart with or without the flag needs nobody.
	serial := o.Certificate().Serial
	for _, text := range []string{inv.String(), ""} {
		cfg.Invite = text
		o, err := open(t, cfg)
		if err != nil || o.Certificate().Serial != serial || len(o.Addrs) == 0 {
			t.Fatalf("restart: %+v, %v", o, err)
		}
	}
	// After a long stop the certificate has lapsed, and is exchanged.
	lapsed := issue(t, in.Authority, o.Peer(), RolePeer, time.Hour, time.Now().Add(-5*time.Hour))
	if err := o.Store.SaveJoined(Joined{ClusterPub: o.ClusterPublic(), Cert: lapsed, Addrs: addrsOf(h)}); err != nil {
		t.Fatal(err)
	}
	if o, err = open(t, cfg); err != nil || o.Certificate().Serial == lapsed.Serial {
		t.Fatalf("after a long stop: %v", err)
	}
	// Another peer's key does not fit the kept membership.
	cfg.Key = first
	if _, err := open(t, cfg); err == nil {
		t.Error("a kept membership serves another peer")
	}
	// An expelled peer does not start.
	list, err := in.Authority.Deny(DenyList{}, time.Now(), o.Peer())
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Store.SaveDenyList(list); err != nil {
		t.Fatal(err)
	}
	cfg.Key = key
	if _, err := open(t, cfg); !errors.Is(err, ErrDenied) {
		t.Errorf("an expelled peer starts: %v", err)
	}
}

func TestBrokenStore(t *testing.T) {
	a := testAuthority(1)
	for _, name := range []string{joinedFile, deniedFile, invitesFile} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte{0x81}, 40), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := OpenStore(dir)
		if err != nil {
			t.Fatal(err)
		}
		_, e1 := s.Joined()
		_, e2 := s.DenyList(a.Public())
		_, e3 := s.invites(a.ClusterID())
		if err := errors.Join(e1, e2, e3); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, name)) {
			t.Errorf("a broken file %s: %v", name, err)
		}
	}
}
