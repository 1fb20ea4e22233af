package objects

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/ipfs/go-cid"
)

func TestCIDOfSmallIsRaw(t *testing.T) {
	for n, want := range map[int]string{
		0: "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", // the well-known CID of no bytes
	} {
		if got := SumBytes(make([]byte, n)).String(); got != want {
			t.Errorf("CID of %d zeros is %s, want %s", n, got, want)
		}
	}
	for _, n := range []int{0, 1, BlockSize - 1, BlockSize, BlockSize + 1, 3 * BlockSize, 5*BlockSize + 77} {
		b := content(1, n)
		c := SumBytes(b)
		if raw := n <= BlockSize; (c.Prefix().Codec == cid.Raw) != raw || (c.Prefix().Codec == cid.DagCBOR) == raw || c.Version() != 1 {
			t.Errorf("CID of %d bytes is %+v", n, c.Prefix())
		}
		got, err := CIDOf(bytes.NewReader(b), int64(n))
		if err != nil || got != c {
			t.Errorf("CIDOf of %d bytes is %s, %v, want %s", n, got, err, c)
		}
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := SumFile(f); err != nil || got != c {
			t.Errorf("SumFile of %d bytes is %s, %v, want %s", n, got, err, c)
		}
		_ = f.Close()
	}
	if _, err := CIDOf(bytes.NewReader(nil), 10); err == nil {
		t.Error("a short reader has a CID")
	}
}

// The encoding must be what any core-deterministic CBOR encoder makes of
// {size, blocks: [links]}.
func TestManifestIsDeterministicCBOR(t *testing.T) {
	for _, n := range []int{BlockSize + 1, 2 * BlockSize, 30*BlockSize + 5} {
		m, err := ManifestOf(bytes.NewReader(make([]byte, n)), int64(n))
		if err != nil {
			t.Fatal(err)
		}
		var links []cbor.Tag
		for i := range m.Digests {
			links = append(links, cbor.Tag{Number: 42, Content: append([]byte{0}, m.Block(i).Bytes()...)})
		}
		mode, err := cbor.CoreDetEncOptions().EncMode()
		if err != nil {
			t.Fatal(err)
		}
		want, err := mode.Marshal(map[string]any{"size": m.Size, "blocks": links})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m.Encode(), want) {
			t.Errorf("manifest of %d bytes differs from the library's encoding", n)
		}
		back, err := DecodeManifest(want)
		if err != nil || back.CID() != m.CID() {
			t.Errorf("decode: %v, %s, want %s", err, back.CID(), m.CID())
		}
	}
}

func TestVerifyBlock(t *testing.T) {
	b := content(3, BlockSize+9)
	m, err := ManifestOf(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.VerifyBlock(1, b[BlockSize:]); err != nil {
		t.Error(err)
	}
	b[BlockSize] ^= 1
	if err := m.VerifyBlock(1, b[BlockSize:]); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a changed block: %v", err)
	}
	if err := m.VerifyBlock(0, b[:9]); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a short block: %v", err)
	}
	if err := m.VerifyBlock(2, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("a block too many: %v", err)
	}
}

func FuzzDecodeManifest(f *testing.F) {
	good := Manifest{Size: 2*BlockSize + 1, Digests: make([][sha256.Size]byte, 3)}
	f.Add(good.Encode())
	f.Add([]byte(manifestSize))
	f.Add(binary.BigEndian.AppendUint64([]byte(manifestSize+"\x1b"), 1<<40))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeManifest(b)
		if err != nil {
			return
		}
		if !bytes.Equal(m.Encode(), b) {
			t.Errorf("%x decodes to a manifest with another encoding", b)
		}
		if len(m.Digests) != blocksOf(m.Size) {
			t.Errorf("%d blocks for %d bytes", len(m.Digests), m.Size)
		}
	})
}
