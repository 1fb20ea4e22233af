package behaviours

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"os"
	"time"

	raygo "github.com/raygo/raygo/sdk"
)

var (
	whereAfter = raygo.Func1(whereAfterFn)
	seeded     = raygo.Func1(seededFn)
	whereBlob  = raygo.Func1(whereBlobFn)
	link       = raygo.Func1(linkFn)
	farBlobs   = raygo.Gen2(farBlobsFn)
	tree       *raygo.Task2[int, int, map[string]int]
	logRun     = raygo.Func2(logRunFn)
	addAll     = raygo.Func1(addAllFn)
)

func init() { tree = raygo.Func2(treeFn) }

// whereAfterFn is the peer it ran on, after a while.
func whereAfterFn(ctx context.Context, d time.Duration) (string, error) {
	if _, err := sleepFn(ctx, d); err != nil {
		return "", err
	}
	return raygo.Info(ctx).Peer, nil
}

// seededFn is a megabyte and a half that depends on the seed alone.
func seededFn(_ context.Context, seed int) ([]byte, error) {
	b := make([]byte, 3<<19)
	sum := sha256.Sum256([]byte{byte(seed), byte(seed >> 8)})
	for i := range b {
		b[i] = sum[i%len(sum)] ^ byte(i>>5)
	}
	return b, nil
}

func whereBlobFn(ctx context.Context, b []byte) (string, error) {
	return raygo.Info(ctx).Peer + fmt.Sprint(" ", len(b)), nil
}

// linkFn is the next of a chain of large values.
func linkFn(_ context.Context, b []byte) ([]byte, error) {
	out := make([]byte, len(b))
	for i := range b {
		out[i] = b[i] + 1
	}
	return out, nil
}

// farBlobsFn yields n large values, a pause before each.
func farBlobsFn(ctx context.Context, n int, pause time.Duration) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for i := range n {
			if _, err := sleepFn(ctx, pause); err != nil {
				yield(nil, err)
				return
			}
			b, _ := seededFn(ctx, i)
			if !yield(b, nil) {
				return
			}
		}
	}
}

// treeFn counts the tasks of a tree by peer.
func treeFn(ctx context.Context, depth, width int) (map[string]int, error) {
	n := map[string]int{raygo.Info(ctx).Peer: 1}
	if depth == 0 {
		_, err := sleepFn(ctx, 20*time.Millisecond)
		return n, err
	}
	var refs []raygo.Ref[map[string]int]
	for range width {
		refs = append(refs, tree.Remote(ctx, depth-1, width))
	}
	for _, r := range refs {
		m, err := raygo.Get(ctx, r)
		if err != nil {
			return nil, err
		}
		for peer, k := range m {
			n[peer] += k
		}
		raygo.Release(r)
	}
	return n, nil
}

// logRunFn notes in a file that it ran, and takes a while.
func logRunFn(ctx context.Context, path string, d time.Duration) (string, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return "", err
	}
	fmt.Fprintln(f, raygo.Info(ctx).Peer)
	if err := f.Close(); err != nil {
		return "", err
	}
	return whereAfterFn(ctx, d)
}

func addAllFn(_ context.Context, xs []int) (int, error) {
	sum := 1
	for _, x := range xs {
		sum += x
	}
	return sum, nil
}
