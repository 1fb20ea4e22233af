package a

import (
	"context"
	"sync"

	raygo "github.com/raygo/raygo/sdk"
)

var (
	Square = raygo.Func1(square)
	Stray  = raygo.Func1(stray)
	Tidy   = raygo.Func1(tidy)
	Chan   = raygo.Func1(byChannel)
)

func square(_ context.Context, x int) (int, error) { return x * x, nil }

func stray(_ context.Context, x int) (int, error) {
	go func() { println(x) }() // want `this goroutine is not waited for`
	return x, nil
}

func tidy(_ context.Context, x int) (int, error) {
	var wg sync.WaitGroup
	wg.Add(1)
	go func() { defer wg.Done(); println(x) }()
	wg.Wait()
	return x, nil
}

func byChannel(_ context.Context, x int) (int, error) {
	c := make(chan int)
	go func() { c <- x }()
	return <-c, nil
}

// local is not a remote function: what it starts is its own business.
func local(x int) { go println(x) }

func serial(ctx context.Context) {
	for i := range 10 {
		_, _ = raygo.Get(ctx, Square.Remote(ctx, i)) // want `Get of a call that the same turn of the loop made`
	}
	for i := 0; i < 10; i++ {
		r := Square.Remote(ctx, i)
		_, _ = raygo.Get(ctx, r) // want `Get of a call that the same turn of the loop made`
	}
}

func together(ctx context.Context) {
	var refs []raygo.Ref[int]
	for i := range 10 {
		refs = append(refs, Square.Remote(ctx, i))
	}
	_, _ = raygo.GetAll(ctx, refs)
	for _, r := range refs {
		_, _ = raygo.Get(ctx, r) // want `results are got in the order of submission`
	}
	for _, r := range refs {
		go func() { _, _ = raygo.Get(ctx, r) }()
	}
}
