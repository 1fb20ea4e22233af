package raygo

//go:generate go run ./gen -o tasks_gen.go
