package local

import (
	"reflect"
	"testing"
	"time"

	"tidepost/gateway"
)

// setAll sets every field of a struct to something that is not zero, so that a
// field which somebody adds and a codec forgets is noticed.
func setAll(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(3)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(2.5)
	case reflect.String:
		v.SetString("text")
	case reflect.Array:
		for i := range v.Len() {
			setAll(t, v.Index(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			setAll(t, v.Index(i))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.UnixMilli(1_700_000_000_123).UTC()))
			return
		}
		for i := range v.NumField() {
			setAll(t, v.Field(i))
		}
	default:
		t.Fatalf("a field of kind %s: teach setAll about it", v.Kind())
	}
}

func TestNoFieldIsForgotten(t *testing.T) {
	var m gateway.Message
	setAll(t, reflect.ValueOf(&m).Elem())
	got, err := decodeMessage(appendMessage(nil, &m))
	if err != nil || !reflect.DeepEqual(*got, m) {
		t.Errorf("a message comes back as\n%+v, %v\nand was\n%+v", got, err, m)
	}
	var d gateway.Delivery
	setAll(t, reflect.ValueOf(&d).Elem())
	r := decoder{b: appendDelivery(nil, &d)}
	if back := r.delivery(d.Mailbox); r.finish() != nil || !reflect.DeepEqual(*back, d) {
		t.Errorf("a delivery comes back as\n%+v, %v\nand was\n%+v", back, r.err, d)
	}
}
