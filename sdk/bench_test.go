package raygo_test

import (
	"runtime"
	"testing"

	raygo "github.com/raygo/raygo/sdk"
)

func BenchmarkTasksSync(b *testing.B) {
	for b.Loop() {
		if _, err := raygo.Get(ctx, square.Remote(ctx, 3)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTasksAsync1000(b *testing.B) {
	refs := make([]raygo.Ref[int], 1000)
	b.ReportAllocs()
	for b.Loop() {
		for i := range refs {
			refs[i] = square.Remote(ctx, i)
		}
		if _, err := raygo.GetAll(ctx, refs); err != nil {
			b.Fatal(err)
		}
		for _, r := range refs {
			raygo.Release(r)
		}
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "tasks/s")
}

func BenchmarkRemote(b *testing.B) {
	b.ReportAllocs()
	var last raygo.Ref[int]
	for b.Loop() {
		last = square.Remote(ctx, 1)
	}
	b.StopTimer()
	_, _ = raygo.Get(ctx, last)
}

func BenchmarkGetHere(b *testing.B) {
	ref := square.Remote(ctx, 3)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := raygo.Get(ctx, ref); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPutSmall(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := raygo.Put(ctx, 7); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPut16MiB(b *testing.B) {
	v := make([]byte, 16<<20)
	b.SetBytes(int64(len(v)))
	for b.Loop() {
		ref, err := raygo.Put(ctx, v)
		if err != nil {
			b.Fatal(err)
		}
		raygo.Release(ref)
	}
}

func BenchmarkMemcpy16MiB(b *testing.B) {
	v, w := make([]byte, 16<<20), make([]byte, 16<<20)
	b.SetBytes(int64(len(v)))
	for b.Loop() {
		copy(w, v)
	}
}

func BenchmarkGetLarge(b *testing.B) {
	ref, err := raygo.Put(ctx, make([]byte, 64<<20))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := raygo.Get(ctx, ref); err != nil {
			b.Fatal(err)
		}
	}
	raygo.Release(ref)
}

func BenchmarkWait1k(b *testing.B) {
	refs := make([]raygo.Ref[int], 1000)
	for i := range refs {
		refs[i], _ = raygo.Put(ctx, i)
	}
	for b.Loop() {
		pending := refs
		var err error
		for len(pending) > 0 {
			if _, pending, err = raygo.Wait(ctx, pending, 1); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "loops/s")
}

func BenchmarkObjectOf10kRefs(b *testing.B) {
	refs := make([]raygo.Ref[int], 10_000)
	for i := range refs {
		refs[i], _ = raygo.Put(ctx, i)
	}
	ref, err := raygo.Put(ctx, refs)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := raygo.Get(ctx, ref); err != nil {
			b.Fatal(err)
		}
	}
	runtime.KeepAlive(refs)
}

func BenchmarkRefMemory(b *testing.B) {
	const n = 200_000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		refs := make([]raygo.Ref[int], n)
		for i := range refs {
			refs[i], _ = raygo.Put(ctx, i)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc+after.OtherSys-before.HeapAlloc-before.OtherSys)/n, "B/ref")
		runtime.KeepAlive(refs)
	}
}
