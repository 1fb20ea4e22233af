// Command prog is the program that the tests of raygo run.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"

	raygo "github.com/raygo/raygo/sdk"
)

var length = raygo.Func1(lengthOf)

func lengthOf(_ context.Context, s string) (int, error) {
	fmt.Println("a task says hello")
	if s == "fail" {
		return 0, fmt.Errorf("told to %s", s)
	}
	return len(s), nil
}

func main() {
	raygo.Main(func(ctx context.Context) error {
		if os.Args[1] == "wait" {
			fmt.Println("waiting")
			<-ctx.Done()
			return ctx.Err()
		}
		if code, err := strconv.Atoi(os.Args[1]); err == nil {
			os.Exit(code)
		}
		in, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		n, err := raygo.Get(ctx, length.Remote(ctx, os.Args[1]+string(in)))
		if err != nil {
			return err
		}
		fmt.Println(n, "bytes")
		return nil
	})
}
