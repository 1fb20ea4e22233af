// Command gen writes sdk/tasks_gen.go: the typed forms of tasks and generators
// with 0 to 5 parameters.
package main

import (
	"flag"
	"log"
	"os"
)

func main() {
	out := flag.String("o", "tasks_gen.go", "file to write")
	flag.Parse()
	src, err := Source()
	if err == nil {
		err = os.WriteFile(*out, src, 0o644)
	}
	if err != nil {
		log.Fatal(err)
	}
}
