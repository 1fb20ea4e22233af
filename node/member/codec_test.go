package member

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

type (
	peerID     = peer.ID
	protocolID = protocol.ID
)

func frame(v any) []byte {
	b := encode(v)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// fixed are values of each encoding that are the same in every run.
func fixed(t testing.TB) map[string][]byte {
	t.Helper()
	a := testAuthority(1)
	_, p := testKey(t, 11)
	_, q := testKey(t, 12)
	now := time.Unix(1_800_000_000, 0)
	cert := issue(t, a, p, RolePeer, DefaultTTL, now)
	cert.Serial = 7
	cert = resign(a, cert)
	list, err := a.Deny(DenyList{Epoch: 2}, now, q, p)
	if err != nil {
		t.Fatal(err)
	}
	inv := Invite{ClusterPub: a.Public(), Role: RoleClient, Expires: now, Addrs: []string{"/ip4/10.0.0.1/tcp/4001/p2p/" + p.String()}, secret: bytes.Repeat([]byte{5}, 32)}
	return map[string][]byte{
		"certificate": cert.Bytes(),
		"denylist":    list.Bytes(),
		"invite":      []byte(inv.String()),
		"join":        encode(inv.proof(q)),
		"rejoin":      encode(joinProof{Lapsed: cert.Bytes()}),
	}
}

// resign signs a changed certificate; Ed25519 signatures are the same each time.
func resign(a *Authority, c Certificate) Certificate {
	c.Sig = nil
	c.Sig = signature(a, c.signed())
	return c
}

// What is signed or kept must be read by later versions: these bytes never
// change. RAYGO_GOLDEN=write writes those that are missing.
func TestGoldenBytes(t *testing.T) {
	for name, b := range fixed(t) {
		file := filepath.Join("testdata", "golden", name+"-1.hex")
		want, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) && os.Getenv("RAYGO_GOLDEN") == "write" {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(hex.EncodeToString(b)+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(b); got != strings.TrimSpace(string(want)) {
			t.Errorf("%s is encoded as\n%s\nand was\n%s", name, got, want)
		}
	}
}

func TestCertificateIsStrict(t *testing.T) {
	a := testAuthority(1)
	_, p := testKey(t, 11)
	good := issue(t, a, p, RolePeer, 0, time.Now())
	for what, b := range map[string][]byte{
		"nothing":     nil,
		"cut off":     good.Bytes()[:60],
		"with a tail": append(good.Bytes(), 0),
		"too long":    make([]byte, maxCertificate+1),
		"no role":     resign(a, with(good, func(c *Certificate) { c.Role = "root" })).Bytes(),
		"no peer":     resign(a, with(good, func(c *Certificate) { c.Peer = "x" })).Bytes(),
		"for ever":    resign(a, with(good, func(c *Certificate) { c.NotAfter = c.NotBefore.Add(MaxTTL * 2) })).Bytes(),
		"backwards":   resign(a, with(good, func(c *Certificate) { c.NotAfter = c.NotBefore })).Bytes(),
		"no cluster":  resign(a, with(good, func(c *Certificate) { c.Cluster = "x" })).Bytes(),
		"unsigned":    with(good, func(c *Certificate) { c.Sig = nil }).Bytes(),
	} {
		if _, err := ParseCertificate(b); err == nil {
			t.Errorf("a certificate %s is read", what)
		}
	}
	for _, ttl := range []time.Duration{-1, time.Millisecond, MaxTTL + 1} {
		if _, err := a.Issue(p, RolePeer, ttl, time.Now()); err == nil {
			t.Errorf("a certificate for %s is issued", ttl)
		}
	}
	if _, err := a.Issue(p, "root", 0, time.Now()); err == nil {
		t.Error("a certificate of no role is issued")
	}
	if _, err := a.Issue("", RolePeer, 0, time.Now()); err == nil {
		t.Error("a certificate for nobody is issued")
	}
}

func with(c Certificate, change func(*Certificate)) Certificate {
	change(&c)
	return c
}

func TestInviteTextIsChecked(t *testing.T) {
	text := string(fixed(t)["invite"])
	for _, s := range []string{"", "raygo", text[:len(text)-1], text + "x", strings.Replace(text, "A", "B", 1), strings.ToLower(text), invitePrefix + strings.Repeat("A", 5000)} {
		if _, err := ParseInvite(s); !errors.Is(err, ErrInvite) {
			t.Errorf("%.40q: %v", s, err)
		}
	}
}

func TestRoles(t *testing.T) {
	for i, r := range roles {
		for j, need := range roles {
			if got := r.Allows(need); got != (i <= j) {
				t.Errorf("%s may do what is open to %s: %v", r, need, got)
			}
		}
	}
	if Role("").Allows(RoleRead) || Role("root").Allows(RoleRead) {
		t.Error("no role may do something")
	}
	if _, err := ParseRole("root"); err == nil {
		t.Error("root is a role")
	}
}

// Every decoder gives an error or what encodes to the same bytes.

func FuzzCertificate(f *testing.F) {
	f.Add(fixed(f)["certificate"])
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := ParseCertificate(b); err == nil {
			if !bytes.Equal(c.Bytes(), b) {
				t.Errorf("%x is encoded again as %x", b, c.Bytes())
			}
			_ = c.Verify(testAuthority(1).Public(), time.Unix(1_800_000_000, 0))
		}
	})
}

func FuzzDenyList(f *testing.F) {
	f.Add(fixed(f)["denylist"])
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := ParseDenyList(b); err == nil && !bytes.Equal(d.Bytes(), b) {
			t.Errorf("%x is encoded again as %x", b, d.Bytes())
		}
	})
}

func FuzzInvite(f *testing.F) {
	f.Add(string(fixed(f)["invite"]))
	f.Fuzz(func(t *testing.T, s string) {
		if i, err := ParseInvite(s); err == nil && i.String() != strings.TrimSpace(s) {
			t.Errorf("%q is written again as %q", s, i.String())
		}
	})
}

// The checksum keeps a fuzzer out of the invite itself, so this is what is in it.
func FuzzInviteInside(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		var w wireInvite
		if decode(b, maxInvite, &w) != nil {
			return
		}
		if i, err := w.invite(); err == nil {
			if back, err := ParseInvite(i.String()); err != nil || back.String() != i.String() {
				t.Errorf("%x is not read back: %v", b, err)
			}
		}
	})
}

func FuzzJoinRequest(f *testing.F) {
	f.Add(fixed(f)["join"], frame(joinRequest{Version: 1}))
	f.Add(fixed(f)["rejoin"], frame(joinAnswer{Version: 1, Refusal: refusedUsed}))
	f.Fuzz(func(t *testing.T, proof, message []byte) {
		if p, err := parseJoinProof(proof); err == nil && !bytes.Equal(encode(p), proof) {
			t.Errorf("%x is encoded again as %x", proof, encode(p))
		}
		var q joinRequest
		_ = readFrame(bytes.NewReader(message), maxJoinFrame, &q)
		var a joinAnswer
		if readFrame(bytes.NewReader(message), maxJoinFrame, &a) == nil {
			_, _ = a.parse()
		}
	})
}

func FuzzSync(f *testing.F) {
	f.Add(frame(syncRequest{Certificate: fixed(f)["certificate"], Epoch: 3, Tag: []byte{1}, List: fixed(f)["denylist"]}))
	f.Add(frame(syncAnswer{Epoch: 3, List: fixed(f)["denylist"]}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var q syncRequest
		_ = readFrame(bytes.NewReader(b), maxSyncFrame, &q)
		var a syncAnswer
		_ = readFrame(bytes.NewReader(b), maxSyncFrame, &a)
		var r renewAnswer
		_ = readFrame(bytes.NewReader(b), maxJoinFrame, &r)
	})
}
