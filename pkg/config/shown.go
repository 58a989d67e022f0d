package config

import (
	"fmt"
	"reflect"
)

// Shown is a setting in force, as it may be shown: a secret is set or not set.
type Shown struct{ Name, Value, Doc string }

// Shown returns all settings in force, in the order of the README's table.
func (c Config) Shown() []Shown {
	value := reflect.ValueOf(c)
	shown := make([]Shown, 0, value.NumField())
	for field := range value.Type().Fields() {
		one := Shown{Name: field.Tag.Get("env"), Value: fmt.Sprint(value.FieldByIndex(field.Index).Interface()), Doc: field.Tag.Get("doc")}
		if field.Tag.Get("secret") == "true" {
			one.Value = map[bool]string{true: "not set", false: "set"}[one.Value == ""]
		}
		shown = append(shown, one)
	}
	return shown
}
