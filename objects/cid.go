package objects

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// BlockSize is the size of the blocks of an object; an object up to it is one block.
const BlockSize = 1 << 20

// SumBytes names b by content, computed by the caller alone: for small values.
func SumBytes(b []byte) cid.Cid {
	if len(b) <= BlockSize {
		return digestCID(cid.Raw, sha256.Sum256(b))
	}
	m := Manifest{Size: uint64(len(b))}
	for len(b) > 0 {
		n := min(len(b), BlockSize)
		m.Digests = append(m.Digests, sha256.Sum256(b[:n]))
		b = b[n:]
	}
	return m.CID()
}

// SumFile names a whole file by content.
func SumFile(f *os.File) (cid.Cid, error) {
	st, err := f.Stat()
	if err != nil {
		return cid.Undef, fmt.Errorf("hash file: %w", err)
	}
	return CIDOf(f, st.Size())
}

// CIDOf names the first size bytes of r by content, on all cores.
func CIDOf(r io.ReaderAt, size int64) (cid.Cid, error) {
	m, err := ManifestOf(r, size)
	if err != nil {
		return cid.Undef, err
	}
	return m.CID(), nil
}

// ManifestOf hashes the blocks of the first size bytes of r, on all cores.
func ManifestOf(r io.ReaderAt, size int64) (Manifest, error) {
	return manifestOf(r, size, hashers)
}

// hashers is how many goroutines hash at a time. A process that has little to do
// may run on fewer CPUs for a while (package node/procs), so that it is asked once.
var hashers = runtime.GOMAXPROCS(0)

func manifestOf(r io.ReaderAt, size int64, workers int) (Manifest, error) {
	if size < 0 || uint64(size) > MaxBlocks*BlockSize {
		return Manifest{}, fmt.Errorf("hash %d bytes: the largest object has %d", size, uint64(MaxBlocks*BlockSize))
	}
	m := Manifest{Size: uint64(size), Digests: make([][sha256.Size]byte, blocksOf(uint64(size)))}
	workers = min(workers, len(m.Digests))
	if workers <= 1 {
		buf := takeBlock()
		defer giveBlock(buf)
		for i := range m.Digests {
			if err := m.hashBlock(r, i, *buf); err != nil {
				return Manifest{}, err
			}
		}
		return m, nil
	}
	return m, m.hashParallel(r, workers)
}

func (m *Manifest) hashParallel(r io.ReaderAt, workers int) error {
	var (
		wg   sync.WaitGroup
		next atomic.Int64
		errs = make([]error, workers)
	)
	for w := range workers {
		wg.Go(func() {
			buf := takeBlock()
			defer giveBlock(buf)
			for errs[w] == nil {
				i := int(next.Add(1) - 1)
				if i >= len(m.Digests) {
					return
				}
				errs[w] = m.hashBlock(r, i, *buf)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (m *Manifest) hashBlock(r io.ReaderAt, i int, buf []byte) error {
	b := buf[:m.blockLen(i)]
	if n, err := r.ReadAt(b, int64(i)*BlockSize); n < len(b) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("hash block %d: %w", i, err)
	}
	m.Digests[i] = sha256.Sum256(b)
	return nil
}

func digestCID(codec uint64, digest [sha256.Size]byte) cid.Cid {
	h, err := mh.Encode(digest[:], mh.SHA2_256)
	if err != nil {
		panic("objects: sha2-256 has no multihash: " + err.Error())
	}
	return cid.NewCidV1(codec, h)
}

var blocks = sync.Pool{New: func() any { b := make([]byte, BlockSize); return &b }}

func takeBlock() *[]byte  { return blocks.Get().(*[]byte) }
func giveBlock(b *[]byte) { blocks.Put(b) }
