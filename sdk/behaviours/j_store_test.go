package behaviours

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
)

var (
	isBlob    = raygo.Func2(isBlobFn)
	makeBlob  = raygo.Func2(makeBlobFn)
	twoAtOnce = raygo.Func3(twoAtOnceFn)
)

// blobOf is n bytes that depend on a seed.
func blobOf(seed, n int) []byte {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], uint64(seed))
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

func isBlobFn(_ context.Context, b []byte, seed int) (bool, error) {
	return bytes.Equal(b, blobOf(seed, len(b))), nil
}

func makeBlobFn(_ context.Context, seed, n int) ([]byte, error) { return blobOf(seed, n), nil }

// twoAtOnceFn says how many of its kind run at a time at most, by files.
func twoAtOnceFn(_ context.Context, a, b []byte, dir string) (int, error) {
	f, err := os.CreateTemp(dir, "running-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_ = f.Close()
	running, err := filepath.Glob(filepath.Join(dir, "running-*"))
	if len(a)+len(b) != 2*twoSize {
		err = fmt.Errorf("%d and %d bytes", len(a), len(b))
	}
	return len(running), err
}

const (
	smallStore = 8 << 20
	twoSize    = smallStore * 3 / 10
)

// spillPeer runs a peer with a small store and a spill directory of the test's.
func spillPeer(t *testing.T, cfg node.Config) (*peertest.Peer, string) {
	t.Helper()
	dir := t.TempDir()
	cfg.ObjectStoreMemory, cfg.SpillDir = smallStore, dir
	return peertest.Start(t, cfg), dir
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil // removed meanwhile
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func putBlobs(t *testing.T, ctx context.Context, n, size int) []raygo.Ref[[]byte] {
	t.Helper()
	refs := make([]raygo.Ref[[]byte], n)
	for i := range refs {
		var err error
		if refs[i], err = raygo.Put(ctx, blobOf(i, size)); err != nil {
			t.Fatalf("put %d: %v", i, err)
		}
	}
	return refs
}

// behaviours 149, 151, 152 and 153
func TestTenTimesTheStore(t *testing.T) {
	p, dir := spillPeer(t, node.Config{})
	ctx := p.Driver()
	const n, size = 160, 512 << 10
	refs := putBlobs(t, ctx, n, size)
	u := p.Account().Store
	if u.Used > u.Limit || u.SpilledEver < (n*size-smallStore)/2 {
		t.Fatalf("%+v", u)
	}
	if files := entries(t, dir); len(files) == 0 || len(files) > 10 {
		t.Fatalf("%d spill files for %d objects", len(files), n)
	}
	for i, r := range refs {
		b, err := raygo.Get(ctx, r)
		if err != nil || !bytes.Equal(b, blobOf(i, size)) {
			t.Fatalf("object %d: %d bytes, %v", i, len(b), err)
		}
	}
	// Tasks get them too, though the driver's views keep a quarter of the store.
	var ok []raygo.Ref[bool]
	for i, r := range refs {
		ok = append(ok, isBlob.RemoteArgs(ctx, r, raygo.Val(i)))
	}
	all, err := raygo.GetAll(ctx, ok)
	if err != nil {
		t.Fatal(err)
	}
	for i, same := range all {
		if !same {
			t.Fatalf("a task got other bytes for object %d", i)
		}
	}
	for _, r := range refs {
		raygo.Release(r)
	}
	eventually(t, "the spill files go with their objects", func() bool { return len(entries(t, dir)) == 0 })
	if u := p.Account().Store; u.Objects != 0 || u.Pinned != 0 {
		t.Fatalf("%+v", u)
	}
}

// behaviour 153
func TestSpillGoesWithTheJob(t *testing.T) {
	p, dir := spillPeer(t, node.Config{})
	t.Run("job", func(t *testing.T) {
		ctx := p.DriverFor(t)
		refs := putBlobs(t, ctx, 40, 512<<10)
		if len(entries(t, dir)) == 0 {
			t.Fatal("nothing was spilled")
		}
		raygo.Release(refs[0])
	})
	eventually(t, "the spill files go with their job", func() bool { return len(entries(t, dir)) == 0 })
	eventually(t, "the store is empty", func() bool { a := p.Account(); return a.Store.Objects == 0 && a.Objects == 0 && a.Jobs == 0 })
}

// behaviour 150
func TestViewsStayWhereTheyAre(t *testing.T) {
	p, _ := spillPeer(t, node.Config{})
	ctx := p.Driver()
	r, err := raygo.Put(ctx, blobOf(1000, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	view, err := raygo.Get(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	putBlobs(t, ctx, 60, 512<<10)
	if !bytes.Equal(view, blobOf(1000, 1<<20)) {
		t.Fatal("the view changed under its reader")
	}
	if again, err := raygo.Get(ctx, r); err != nil || &again[0] != &view[0] {
		t.Fatalf("another view: %v", err)
	}
}

// behaviours 157, 158 and 149
func TestSpillAndRestoreAtOnce(t *testing.T) {
	p, _ := spillPeer(t, node.Config{})
	ctx := p.Driver()
	var drivers sync.WaitGroup
	for d := range 3 {
		drivers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(d), 1))
			const size = 700 << 10
			refs := map[int]raygo.Ref[[]byte]{}
			for i := range 60 {
				seed := d*1000 + i
				if i%3 == 0 {
					refs[seed] = makeBlob.Remote(ctx, seed, size)
				} else {
					r, err := raygo.Put(ctx, blobOf(seed, size))
					if err != nil {
						t.Errorf("put: %v", err)
						return
					}
					refs[seed] = r
				}
				old := d*1000 + rng.IntN(i+1)
				ok, err := raygo.Get(ctx, isBlob.RemoteArgs(ctx, refs[old], raygo.Val(old)))
				if err != nil || !ok {
					t.Errorf("object %d: %v, %v", old, ok, err)
					return
				}
			}
		})
	}
	drivers.Wait()
}

// behaviour 162
func TestTwoTasksThatFitOnlyAlone(t *testing.T) {
	p, _ := spillPeer(t, node.Config{})
	ctx := p.Driver()
	dir := t.TempDir()
	refs := putBlobs(t, ctx, 4, twoSize)
	var out []raygo.Ref[int]
	for i := range 12 {
		k := i % 2 * 2
		out = append(out, twoAtOnce.RemoteArgs(ctx, refs[k], refs[k+1], raygo.Val(dir)))
	}
	all, err := raygo.GetAll(ctx, out)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range all {
		if n < 1 || n > 2 {
			t.Fatalf("task %d saw %d at a time", i, n)
		}
	}
	// Each pair is brought in a few times at most, not by turns for ever.
	if u := p.Account().Store; u.Restored > 12*2*twoSize {
		t.Fatalf("%d bytes were restored", u.Restored)
	}
}

// behaviour 155
func TestDiskFull(t *testing.T) {
	p, _ := spillPeer(t, node.Config{DiskHigh: 1e-9, PutWait: 200 * time.Millisecond})
	ctx := p.Driver()
	fillUntil(t, ctx, raygo.ErrOutOfDisk)
	goesOn(t, ctx)
}

// behaviour 156
func TestNoDisk(t *testing.T) {
	ctx := peertest.Run(t, node.Config{ObjectStoreMemory: smallStore, SpillDir: "off", PutWait: 200 * time.Millisecond})
	refs := fillUntil(t, ctx, raygo.ErrStoreFull)
	raygo.Release(refs[0])
	if _, err := raygo.Put(ctx, make([]byte, 1<<20)); err != nil {
		t.Fatalf("put after a release: %v", err)
	}
	if _, err := raygo.Put(ctx, make([]byte, 2*smallStore)); !errors.Is(err, raygo.ErrStoreFull) {
		t.Fatalf("put of more than the store: %v", err)
	}
	goesOn(t, ctx)
}

// A store full of what nobody needs any more is not full: the collectors of the
// programs are nudged while a put waits. behaviour 146
func TestGarbageMakesRoom(t *testing.T) {
	ctx := peertest.Run(t, node.Config{ObjectStoreMemory: smallStore, SpillDir: "off", PutWait: 20 * time.Second})
	b := make([]byte, 1<<20)
	for i := range 3 * smallStore >> 20 {
		if _, err := raygo.Put(ctx, b); err != nil {
			t.Fatalf("put %d: %v", i, err)
		}
	}
	goesOn(t, ctx)
}

// fillUntil puts values until that fails as it should, and checks that what was
// put is still there.
func fillUntil(t *testing.T, ctx context.Context, want error) []raygo.Ref[[]byte] {
	t.Helper()
	var refs []raygo.Ref[[]byte]
	for i := 0; ; i++ {
		r, err := raygo.Put(ctx, blobOf(i, 1<<20))
		if err != nil {
			if !errors.Is(err, want) {
				t.Fatalf("put %d: %v", i, err)
			}
			break
		}
		if refs = append(refs, r); i > 100 {
			t.Fatal("the store is never full")
		}
	}
	if len(refs) < 4 {
		t.Fatalf("full after %d MiB of %d", len(refs), smallStore>>20)
	}
	if _, err := raygo.Get(ctx, bigBlob.Options(raygo.MaxRetries(0)).Remote(ctx, 4<<20)); !errors.Is(err, want) {
		t.Fatalf("a result: %v", err)
	}
	for i, r := range refs {
		if ok, err := raygo.Get(ctx, isBlob.RemoteArgs(ctx, r, raygo.Val(i))); err != nil || !ok {
			t.Fatalf("object %d: %v, %v", i, ok, err)
		}
	}
	return refs
}

func goesOn(t *testing.T, ctx context.Context) {
	t.Helper()
	if v, err := raygo.Get(ctx, square.Remote(ctx, 12)); err != nil || v != 144 {
		t.Fatalf("afterwards: %d, %v", v, err)
	}
}

// A spill directory that goes away, or becomes one that cannot be written, fails
// those who need it, and nobody else. behaviour 159
func TestSpillDirectoryGoes(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"removed": os.RemoveAll,
		"a file": func(dir string) error {
			return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "spill")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			ctx := peertest.Run(t, node.Config{ObjectStoreMemory: smallStore, SpillDir: dir, PutWait: 200 * time.Millisecond})
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			fillUntil(t, ctx, raygo.ErrStoreFull)
			goesOn(t, ctx)
		})
	}
}

// behaviour 160
func TestSpillConfigIsChecked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	touch(t, file)
	for name, cfg := range map[string]node.Config{
		"not there":   {SpillDir: "/nonexistent/spill"},
		"a file":      {SpillDir: file},
		"bad share":   {SpillDir: t.TempDir(), DiskHigh: 1.5},
		"bad limit":   {ObjectStoreMemory: -1},
		"not a write": {SpillDir: "/proc/self"},
	} {
		cfg.Private, cfg.HTTP = true, "off"
		if _, err := node.New(cfg); !errors.Is(err, node.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
