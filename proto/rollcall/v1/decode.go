package rollcallv1

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// MaxRequestBytes limits a message that people publish; the streams themselves accept 256 KiB.
const MaxRequestBytes = 64 << 10

// presentableName matches field names that an error may repeat: a token pasted in the wrong place must not appear in
// an event. No field of rollcall's messages has a digit in its name, and almost every token has one.
var presentableName = regexp.MustCompile(`^[A-Za-z][A-Za-z_]{0,31}$`)

// maxUnknownNamed is how many unknown fields of an object the errors name. The errors are sent in a message of 256
// KiB at most, and 64 KiB of unknown fields would exceed it.
const maxUnknownNamed = 10

// Decode reads protobuf JSON from outside into message and returns what is wrong, field by field. protojson's own
// errors quote the input, which may contain a token. So each field is decoded separately, and an error names the
// expected type and nothing of the input. If the input is not JSON, the error names the kind of the wrong character
// and its byte. A leading byte order mark is skipped. Unknown fields are errors, because otherwise a mistyped name
// would be silently ignored.
func Decode(data []byte, message proto.Message) FieldErrors {
	errs := FieldErrors{}
	switch {
	case len(data) > MaxRequestBytes:
		errs.Add(FieldBody, fmt.Sprintf("is %d bytes long; at most %d are taken", len(data), MaxRequestBytes))
	default:
		if broken := DescribeBrokenJSON(data); broken != "" {
			errs.Add(FieldBody, broken)
			break
		}
		decodeObject(TrimByteOrderMark(data), message.ProtoReflect(), "", errs)
	}
	return errs
}

// decodeObject reads the members one by one: a map would keep only the last of two members with the same name, and
// lose the order.
func decodeObject(data []byte, message protoreflect.Message, prefix string, errs FieldErrors) {
	members := json.NewDecoder(bytes.NewReader(data))
	if start, err := members.Token(); err != nil || start != json.Delim('{') {
		errs.Add(objectName(prefix), "is not a JSON object, but "+kindOfValue(data))
		return
	}
	seen := map[protoreflect.FieldNumber]int{}
	unknown := unknownFields{prefix: prefix, named: map[string]bool{}}
	for members.More() {
		name, err := members.Token()
		var value json.RawMessage
		if err := errors.Join(err, members.Decode(&value)); err != nil {
			errs.Add(objectName(prefix), "is not a JSON object")
			return
		}
		field := fieldNamed(message.Descriptor().Fields(), name)
		if field == nil {
			unknown.note(name, errs)
			continue
		}
		seen[field.Number()]++
		switch seen[field.Number()] {
		case 1:
			decodeField(value, message, field, prefix, errs)
		case 2:
			errs.Add(prefix+field.JSONName(), "is given more than once")
		}
	}
}

func fieldNamed(fields protoreflect.FieldDescriptors, token json.Token) protoreflect.FieldDescriptor {
	name, ok := token.(string)
	if !ok {
		return nil
	}
	if field := fields.ByJSONName(name); field != nil {
		return field
	}
	return fields.ByName(protoreflect.Name(name))
}

// unknownFields records the unknown fields of one object.
type unknownFields struct {
	prefix string
	named  map[string]bool
	odd    bool
	more   bool
}

func (u *unknownFields) note(token json.Token, errs FieldErrors) {
	name, ok := token.(string)
	switch {
	case !ok || !presentableName.MatchString(name):
		if !u.odd {
			errs.Add(objectName(u.prefix), "has a field whose name this version does not know")
		}
		u.odd = true
	case u.named[name]:
	case len(u.named) == maxUnknownNamed:
		if !u.more {
			errs.Add(objectName(u.prefix), "has more fields that this version does not know")
		}
		u.more = true
	default:
		u.named[name] = true
		errs.Add(u.prefix+name, "is not a field that this version knows; check the spelling or leave it out")
	}
}

func decodeField(value json.RawMessage, message protoreflect.Message, field protoreflect.FieldDescriptor, prefix string, errs FieldErrors) {
	if bytes.Equal(bytes.TrimSpace(value), []byte("null")) {
		return // in protobuf JSON, null means absent
	}
	path := prefix + field.JSONName()
	if field.Kind() == protoreflect.MessageKind && !field.IsList() && !field.IsMap() && ownMessage(field) {
		decodeObject(value, message.Mutable(field).Message(), path+".", errs)
		return
	}
	if field.Kind() == protoreflect.MessageKind && field.IsList() && ownMessage(field) {
		decodeList(value, message.Mutable(field).List(), path, errs)
		return
	}
	single := message.New().Interface()
	object := append(append([]byte(`{"`+field.JSONName()+`":`), value...), '}')
	if err := protojson.Unmarshal(object, single); err != nil {
		errs.Add(path, "has the wrong type: expected "+expected(field))
		return
	}
	if single.ProtoReflect().Has(field) {
		message.Set(field, single.ProtoReflect().Get(field))
	}
}

// decodeList reads a list of rollcall's own messages. An error of an element has its place in its path:
// "designations[1].code".
func decodeList(value json.RawMessage, list protoreflect.List, path string, errs FieldErrors) {
	var elements []json.RawMessage
	if err := json.Unmarshal(value, &elements); err != nil {
		errs.Add(path, "has the wrong type: expected a list of objects")
		return
	}
	for i, element := range elements {
		decodeObject(element, list.AppendMutable().Message(), fmt.Sprintf("%s[%d].", path, i), errs)
	}
}

// kindOfValue returns the name of a JSON value's type.
func kindOfValue(value []byte) string {
	switch first := bytes.TrimLeft(value, " \t\r\n")[0]; first {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	}
	return "a number"
}

func ownMessage(field protoreflect.FieldDescriptor) bool {
	return field.Message().FullName().Parent() == "rollcall.v1"
}

func objectName(prefix string) string {
	if prefix == "" {
		return FieldBody
	}
	return prefix[:len(prefix)-1]
}

func expected(field protoreflect.FieldDescriptor) string {
	if field.IsList() {
		return "a list of strings"
	}
	if field.IsMap() {
		return "an object whose values are strings"
	}
	switch field.Kind() {
	case protoreflect.MessageKind: // one that is not rollcall's
		if field.Message().FullName() == "google.protobuf.Struct" {
			return "an object"
		}
		return "a time such as 2026-11-20T22:00:00Z"
	case protoreflect.StringKind:
		return "a string"
	case protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		return "a whole number"
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return "a number"
	case protoreflect.BoolKind:
		return "true or false"
	default:
		return "a " + field.Kind().String()
	}
}

// Read reads a message that one of rollcall's services wrote, perhaps in a newer version: unknown fields are ignored.
// The error quotes nothing of the input.
func Read(data []byte, message proto.Message) error {
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, message); err != nil {
		return fmt.Errorf("the body is no %s", message.ProtoReflect().Descriptor().Name())
	}
	return nil
}

// Encode encodes a message in its published form: protobuf JSON on one line, without default values.
func Encode(message proto.Message) ([]byte, error) {
	// protojson deliberately adds random spaces to its output; compacting gives equal bytes for equal messages.
	loose, err := protojson.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", message.ProtoReflect().Descriptor().Name(), err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, loose); err != nil {
		return nil, fmt.Errorf("compact %s: %w", message.ProtoReflect().Descriptor().Name(), err)
	}
	return compact.Bytes(), nil
}
