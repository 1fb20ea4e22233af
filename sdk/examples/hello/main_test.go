package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/raygo/raygo/sdk/examples/internal/started"
)

func TestHello(t *testing.T) {
	started.Want(t, started.Output(t), "[1 4 9 16]")
}

func TestTheReadmeShowsThisProgram(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(readme), "```go\n")
	shown, _, _ = strings.Cut(shown, "```\n")
	if !bytes.Equal([]byte(shown), program) {
		t.Error("the first ```go block of README.md is not sdk/examples/hello/main.go: copy the program there")
	}
}
