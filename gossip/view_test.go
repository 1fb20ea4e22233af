package gossip

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	raygo "github.com/raygo/raygo"
)

// keys sign for peers in tests: peer "pN" has the key made of N.
func keyOf(peer string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(peer))
	return ed25519.NewKeyFromSeed(seed[:])
}

func verify(peer string, msg, sig []byte) bool {
	return ed25519.Verify(keyOf(peer).Public().(ed25519.PublicKey), msg, sig)
}

func advertOf(t testing.TB, peer string, incarnation, seq uint64) Advert {
	t.Helper()
	a := Advert{Peer: peer, Incarnation: incarnation, Seq: seq, Totals: map[string]raygo.Quantity{raygo.CPU: raygo.Unit}, Labels: map[string]string{"n": fmt.Sprint(seq)}}
	if err := a.Sign(func(msg []byte) ([]byte, error) { return ed25519.Sign(keyOf(peer), msg), nil }); err != nil {
		t.Fatal(err)
	}
	return a
}

func sum(v *View) string {
	s := ""
	for _, a := range v.Adverts() {
		s += fmt.Sprintf("%s %d %d;", a.Peer, a.Incarnation, a.Seq)
		if l := v.Load(a.Peer); l != nil {
			s += fmt.Sprint(l.Incarnation, l.Beat)
		}
	}
	return s
}

// Order, repetition and detours do not change where a view ends.
func TestMergeIsAMerge(t *testing.T) {
	var all []Advert
	for p := range 4 {
		for inc := range uint64(2) {
			for seq := range uint64(2) {
				all = append(all, advertOf(t, fmt.Sprint("p", p), inc+1, seq))
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		picks := rapid.SliceOfN(rapid.IntRange(0, len(all)-1), 1, 20).Draw(t, "adverts")
		loads := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Load {
			return Load{Peer: fmt.Sprint("p", rapid.IntRange(0, 3).Draw(t, "peer")), Incarnation: uint64(rapid.IntRange(1, 2).Draw(t, "inc")), Beat: uint64(rapid.IntRange(1, 4).Draw(t, "beat"))}
		}), 0, 10).Draw(t, "loads")
		merged := func(order []int, again bool) *View {
			v := NewView("me", verify)
			for _, i := range order {
				a := all[picks[i]]
				if _, err := v.Put(&a); err != nil {
					t.Fatal(err)
				}
				if again {
					if news, _ := v.Put(&a); news {
						t.Fatal("the same advert is news twice")
					}
				}
			}
			for i := range loads { // a load is wanted anew until its advert is there, so they come last and in any order
				k := i
				if again {
					k = len(loads) - 1 - i
				}
				v.PutLoad(loads[k])
			}
			return v
		}
		n := len(picks)
		forth, back := make([]int, n), make([]int, n)
		for i := range n {
			forth[i], back[n-1-i] = i, i
		}
		a, b := merged(forth, false), merged(back, true)
		if sum(a) != sum(b) {
			t.Fatalf("%s\n%s", sum(a), sum(b))
		}
		if !reflect.DeepEqual(a.Hashes(), b.Hashes()) || len(a.Differing(b.Hashes())) > 0 {
			t.Fatal("views that are the same have other hashes")
		}
	})
}

// Nobody says anything about another.
func TestOnlySignedAdverts(t *testing.T) {
	v := NewView("me", verify)
	a := advertOf(t, "p1", 1, 1)
	a.Labels["zone"] = "forged"
	if _, err := v.Put(&a); !errors.Is(err, ErrAdvert) {
		t.Fatalf("an advert that was changed: %v", err)
	}
	b := advertOf(t, "p2", 1, 1)
	b.Peer = "p1"
	if _, err := v.Put(&b); !errors.Is(err, ErrAdvert) {
		t.Fatalf("an advert in another's name: %v", err)
	}
	if len(v.Adverts()) > 0 {
		t.Fatal("it was taken")
	}
	if _, wanted := v.PutLoad(Load{Peer: "p1", Incarnation: 1, Beat: 1}); !wanted || v.Load("p1") != nil {
		t.Fatal("a load without an advert was taken")
	}
}

// What was buried does not come back from others' mouths; a new start does.
func TestBuried(t *testing.T) {
	v := NewView("me", verify)
	a, b := advertOf(t, "p1", 1, 1), advertOf(t, "p1", 2, 0)
	for range 2 {
		if _, err := v.Put(&a); err != nil {
			t.Fatal(err)
		}
		v.Bury("p1", 1)
	}
	if v.Advert("p1") != nil {
		t.Fatal("it came back")
	}
	if news, err := v.Put(&b); !news || err != nil {
		t.Fatal(news, err)
	}
}

func TestBoundsOfAView(t *testing.T) {
	v := NewView("me", func(string, []byte, []byte) bool { return true })
	for i := range MaxPeers + 5 {
		a := Advert{Peer: fmt.Sprint("p", i), Incarnation: 1}
		if _, err := v.Put(&a); (err != nil) != (i >= MaxPeers) {
			t.Fatalf("peer %d: %v", i, err)
		}
		if i%100 != 0 {
			continue
		}
		v.PutLoad(Load{Peer: a.Peer, Incarnation: 1, Beat: 1})
	}
	if n := len(v.Digest(digestMost)); n != digestMost {
		t.Fatalf("a digest of %d", n)
	}
}

func TestGoldenAdvert(t *testing.T) {
	a := Advert{Peer: "p", Incarnation: 7, Seq: 2, Addrs: []string{"/ip4/127.0.0.1/tcp/1"}, Totals: map[string]raygo.Quantity{raygo.CPU: raygo.Unit}, Platform: "linux/amd64", Wire: [2]uint16{1, 1}, Sig: []byte{9}}
	const want = "\xa8\x01ap\x02\x07\x03\x02\x04\x81t/ip4/127.0.0.1/tcp/1\x05\xa1cCPU\x19\x27\x10\x07klinux/amd64\x0b\x82\x01\x01\x0fA\t"
	if got := a.Bytes(); string(got) != want {
		t.Fatalf("the bytes changed\n got %q\nwant %q", got, want)
	}
	back, err := ParseAdvert(a.Bytes())
	if err != nil || !reflect.DeepEqual(a, back) {
		t.Fatalf("%+v, %v", back, err)
	}
}

func FuzzAdvert(f *testing.F) {
	a := advertOf(f, "p1", 1, 1)
	f.Add(a.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseAdvert(b)
		if err != nil {
			return
		}
		if again, err := ParseAdvert(a.Bytes()); err != nil || !bytes.Equal(again.Bytes(), a.Bytes()) {
			t.Fatalf("it does not survive a round trip: %v", err)
		}
	})
}

func FuzzFrame(f *testing.F) {
	a := advertOf(f, "p1", 1, 1)
	for _, m := range []*message{{Kind: kindPing}, {Kind: kindPush, Loads: []Load{{Peer: "p1", Incarnation: 1, Beat: 3}}}, {Kind: kindAdverts, Adverts: []Advert{a}, Need: []string{"p2"}}, {Kind: kindStamps, Of: []int{1, 70}, Stamps: []Stamp{{Peer: "p3", Incarnation: 1}}}} {
		f.Add(m.bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newWorld(t, 2)
		w.peers[0].step(&Frame{From: "p1", Bytes: b})
		w.run(w.now.Add(3 * roundCalm))
		if h, ok := w.peers[0].c.Health("p1"); !ok || h != Alive {
			t.Fatal("a message made a living peer ", h)
		}
	})
}
