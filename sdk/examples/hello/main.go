// Command hello is the first program: four calls in other processes.
package main

import (
	"context"
	"fmt"

	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/p2p"
)

// Square is square as a remote function. Remote functions are registered in
// package-level variables.
var Square = raygo.Func1(square)

func square(_ context.Context, x int) (int, error) { return x * x, nil }

func main() { raygo.Main(run, p2p.Embedded(p2p.Config{})) }

func run(ctx context.Context) error {
	var refs []raygo.Ref[int]
	for x := range 4 {
		refs = append(refs, Square.Remote(ctx, x+1)) // returns at once
	}
	squares, err := raygo.GetAll(ctx, refs)
	if err != nil {
		return err
	}
	fmt.Println(squares)
	return nil
}
