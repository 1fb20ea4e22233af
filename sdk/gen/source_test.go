package main

import (
	"bytes"
	"os"
	"testing"
)

func TestCheckedInFileIsCurrent(t *testing.T) {
	want, err := Source()
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("../tasks_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, have) {
		t.Error("sdk/tasks_gen.go is not what the generator writes: run go generate ./sdk")
	}
}
