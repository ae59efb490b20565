// What every kernel has before it: bf16, and the functions that a device may compute inexactly, on whole numbers.
//
// WGSL promises correctly rounded +, - and x of f32, and nothing for division, roots, exp, cosine and sine. Nothing
// here compares a float with itself or adds and takes away a constant: compilers fold that.
// The numbers in comments are clauses of docs/numerics.md.

const QUIET_NAN: u32 = 0x7fc00000u;
const INFINITY: u32 = 0x7f800000u;
const MAGNITUDE: u32 = 0x7fffffffu;

fn from_bits(bits: u32) -> f32 {
    return bitcast<f32>(bits);
}

fn is_nan(v: f32) -> bool {
    return (bitcast<u32>(v) & MAGNITUDE) > INFINITY;
}

// 3: +0 below 2^-50.
fn flush(bits: u32) -> u32 {
    return select(bits, 0u, (bits & MAGNITUDE) < 0x26800000u);
}

// 3: rounded to bf16, ties to even, then flushed.
fn b(v: f32) -> f32 {
    let bits = bitcast<u32>(v);
    if (bits & MAGNITUDE) > INFINITY {
        return from_bits(QUIET_NAN);
    }
    let rounded = bits + 0x7fffu + ((bits >> 16u) & 1u);
    return from_bits(flush(rounded & 0xffff0000u));
}

// The two bf16 of a word, flushed: elements 2i and 2i + 1.
fn bf16_even(word: u32) -> f32 {
    return from_bits(flush(word << 16u));
}

fn bf16_odd(word: u32) -> f32 {
    return from_bits(flush(word & 0xffff0000u));
}

// Whole numbers of 64 bits: the low half first.

fn add64(a: vec2<u32>, c: vec2<u32>) -> vec2<u32> {
    let low = a.x + c.x;
    return vec2<u32>(low, a.y + c.y + u32(low < a.x));
}

fn sub64(a: vec2<u32>, c: vec2<u32>) -> vec2<u32> {
    return vec2<u32>(a.x - c.x, a.y - c.y - u32(a.x < c.x));
}

fn shift_left64(a: vec2<u32>, count: u32) -> vec2<u32> {
    if count == 0u {
        return a;
    }
    if count >= 32u {
        return vec2<u32>(0u, a.x << (count - 32u));
    }
    return vec2<u32>(a.x << count, (a.y << count) | (a.x >> (32u - count)));
}

// The whole product of two words.
fn mul32(a: u32, c: u32) -> vec2<u32> {
    let a0 = a & 0xffffu;
    let a1 = a >> 16u;
    let c0 = c & 0xffffu;
    let c1 = c >> 16u;
    let first = a0 * c0;
    let second = a1 * c0 + (first >> 16u);
    let third = a0 * c1 + (second & 0xffffu);
    return vec2<u32>((third << 16u) | (first & 0xffffu), a1 * c1 + (second >> 16u) + (third >> 16u));
}

// The upper 64 bits of the product of two numbers of 64 bits.
fn mul64_high(a: vec2<u32>, c: vec2<u32>) -> vec2<u32> {
    let low = mul32(a.x, c.x);
    let middle = add64(mul32(a.x, c.y), vec2<u32>(low.y, 0u));
    let other = add64(mul32(a.y, c.x), vec2<u32>(middle.x, 0u));
    return add64(add64(mul32(a.y, c.y), vec2<u32>(middle.y, 0u)), vec2<u32>(other.y, 0u));
}

// The f32 nearest to value x 2^exponent, for a value that is not 0 and a result that is normal.
fn nearest(value: vec2<u32>, exponent: i32) -> f32 {
    let zeros = select(countLeadingZeros(value.y), 32u + countLeadingZeros(value.x), value.y == 0u);
    let v = shift_left64(value, zeros);
    let up = (v.y >> 7u) & 1u;
    let field = u32(127 + 63 - i32(zeros) + exponent);
    // What is carried out of the significand belongs to the exponent.
    return from_bits(((field - 1u) << 23u) + (v.y >> 8u) + up);
}

// a / d, rounded to nearest. Numbers and results below 2^-126 are taken for 0: they end in b, which makes them 0.
fn divide(a: f32, d: f32) -> f32 {
    let x = bitcast<u32>(a);
    let y = bitcast<u32>(d);
    let sign = (x ^ y) & 0x80000000u;
    let x_field = (x >> 23u) & 0xffu;
    let y_field = (y >> 23u) & 0xffu;
    if x_field == 255u || y_field == 255u || x_field == 0u || y_field == 0u {
        if is_nan(a) || is_nan(d) || (x_field == 255u && y_field == 255u) || (x_field == 0u && y_field == 0u) {
            return from_bits(QUIET_NAN);
        }
        return from_bits(select(sign, sign | INFINITY, x_field == 255u || y_field == 0u));
    }
    var rest = (x & 0x7fffffu) | 0x800000u;
    let divisor = (y & 0x7fffffu) | 0x800000u;
    var field = i32(x_field) - i32(y_field) + 127;
    if rest < divisor {
        rest = rest << 1u;
        field = field - 1;
    }
    // 24 bits, and one to round by.
    var quotient = 0u;
    for (var bit = 0u; bit < 25u; bit = bit + 1u) {
        quotient = quotient << 1u;
        if rest >= divisor {
            rest = rest - divisor;
            quotient = quotient | 1u;
        }
        rest = rest << 1u;
    }
    let up = (quotient & 1u) & (u32(rest != 0u) | ((quotient >> 1u) & 1u));
    if field < 1 {
        return from_bits(sign);
    }
    if field > 254 {
        return from_bits(sign | INFINITY);
    }
    return from_bits(sign | (((u32(field) - 1u) << 23u) + (quotient >> 1u) + up));
}

// The root of a number that is not negative, rounded to nearest; below 2^-126 as in `divide`.
fn root(v: f32) -> f32 {
    let bits = bitcast<u32>(v);
    let field = bits >> 23u;
    if field == 0u {
        return 0.0;
    }
    if field >= 255u {
        return v;
    }
    // A square of 50 bits with an even exponent, two bits at a time, the upper 32 of which are not all zero.
    let shift = select(26u, 25u, (field & 1u) == 1u);
    var square = ((bits & 0x7fffffu) | 0x800000u) << (shift - 18u);
    var rest = 0u;
    var digits = 0u;
    for (var pair = 0u; pair < 25u; pair = pair + 1u) {
        rest = (rest << 2u) | (square >> 30u);
        square = square << 2u;
        let trial = (digits << 2u) | 1u;
        digits = digits << 1u;
        if rest >= trial {
            rest = rest - trial;
            digits = digits | 1u;
        }
    }
    // No root of 25 bits ends between two numbers.
    let exponent = (i32(field) - 150 - i32(shift)) / 2;
    return from_bits((u32(exponent + 150) << 23u) + ((digits + 1u) >> 1u));
}

// 1 / k! x 2^62, from k = 20 down.
var<private> EXP: array<vec2<u32>, 21> = array<vec2<u32>, 21>(
    vec2<u32>(0x00000002u, 0x00000000u), vec2<u32>(0x00000026u, 0x00000000u), vec2<u32>(0x000002d0u, 0x00000000u),
    vec2<u32>(0x000032a6u, 0x00000000u), vec2<u32>(0x00035cfeu, 0x00000000u), vec2<u32>(0x0035cfe8u, 0x00000000u),
    vec2<u32>(0x03272e95u, 0x00000000u), vec2<u32>(0x2c248c27u, 0x00000000u), vec2<u32>(0x3ddb1dffu, 0x00000002u),
    vec2<u32>(0xe64567f5u, 0x0000001au), vec2<u32>(0xe4fb778au, 0x00000127u), vec2<u32>(0xf1d2ab64u, 0x00000b8eu),
    vec2<u32>(0x80680680u, 0x00006806u), vec2<u32>(0x03403403u, 0x00034034u), vec2<u32>(0x16c16c17u, 0x0016c16cu),
    vec2<u32>(0x88888889u, 0x00888888u), vec2<u32>(0xaaaaaaabu, 0x02aaaaaau), vec2<u32>(0xaaaaaaabu, 0x0aaaaaaau),
    vec2<u32>(0x00000000u, 0x20000000u), vec2<u32>(0x00000000u, 0x40000000u), vec2<u32>(0x00000000u, 0x40000000u),
);

// ln 2 = 0.b17217f7 d1cf79ab c9e3b398 in words.
const LN2: vec2<u32> = vec2<u32>(0xd1cf79abu, 0xb17217f7u);
const LN2_LOW: u32 = 0xc9e3b398u;

// 11: e^x, rounded to nearest.
fn exp_nearest(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    let magnitude = bits & MAGNITUDE;
    let is_negative = bits > MAGNITUDE;
    if magnitude > INFINITY {
        return from_bits(QUIET_NAN);
    }
    // |x| < 2^-26
    if magnitude < 0x32800000u {
        return 1.0;
    }
    if is_negative && magnitude > 0x42ae0000u {
        return 0.0;
    }
    if !is_negative && magnitude >= 0x42b17218u {
        return from_bits(INFINITY);
    }
    // |x| = whole + fraction / 2^64, exactly.
    let significand = (bits & 0x7fffffu) | 0x800000u;
    let shift = (magnitude >> 23u) - 86u;
    let fraction = shift_left64(vec2<u32>(significand, 0u), shift);
    let whole = select(0u, significand >> (64u - shift), shift > 40u);
    // Not more than |x| / ln 2, and not two less. 1477 < 1024 / ln 2.
    var n = (((whole << 8u) | (fraction.y >> 24u)) * 1477u) >> 18u;
    if is_negative {
        n = n + 1u;
    }
    // n ln 2, and how far |x| is from it.
    let low = mul32(n, LN2.x);
    let high = add64(mul32(n, LN2.y), vec2<u32>(low.y, 0u));
    let part = add64(vec2<u32>(low.x, high.x), vec2<u32>(mul32(n, LN2_LOW).y, 0u));
    var r = sub64(fraction, part);
    var exponent = i32(n);
    if is_negative {
        // |x| <= n ln 2 has to be so.
        let whole_part = high.y + u32(part.y < high.x);
        if whole > whole_part || (whole == whole_part && is_less64(part, fraction)) {
            r = sub64(r, LN2);
            n = n + 1u;
        }
        r = sub64(vec2<u32>(0u, 0u), r);
        exponent = -i32(n);
    }
    var sum = EXP[0];
    for (var k = 1u; k < 21u; k = k + 1u) {
        sum = add64(mul64_high(sum, r), EXP[k]);
    }
    return nearest(sum, exponent - 62);
}

fn is_less64(a: vec2<u32>, c: vec2<u32>) -> bool {
    return a.y < c.y || (a.y == c.y && a.x < c.x);
}

// 11
fn sigmoid(x: f32) -> f32 {
    return divide(1.0, 1.0 + exp_nearest(-x));
}

// 1 / (2k)! and 1 / (2k + 1)!, x 2^63, from k = 10 down.
var<private> COS: array<vec2<u32>, 11> = array<vec2<u32>, 11>(
    vec2<u32>(0x00000004u, 0x00000000u), vec2<u32>(0x000005a1u, 0x00000000u), vec2<u32>(0x0006b9fdu, 0x00000000u),
    vec2<u32>(0x064e5d2au, 0x00000000u), vec2<u32>(0x7bb63bfeu, 0x00000004u), vec2<u32>(0xc9f6ef14u, 0x0000024fu),
    vec2<u32>(0x00d00d01u, 0x0000d00du), vec2<u32>(0x2d82d82eu, 0x002d82d8u), vec2<u32>(0x55555555u, 0x05555555u),
    vec2<u32>(0x00000000u, 0x40000000u), vec2<u32>(0x00000000u, 0x80000000u),
);
var<private> SIN: array<vec2<u32>, 11> = array<vec2<u32>, 11>(
    vec2<u32>(0x00000000u, 0x00000000u), vec2<u32>(0x0000004cu, 0x00000000u), vec2<u32>(0x0000654bu, 0x00000000u),
    vec2<u32>(0x006b9fd0u, 0x00000000u), vec2<u32>(0x5849184fu, 0x00000000u), vec2<u32>(0xcc8acfebu, 0x00000035u),
    vec2<u32>(0xe3a556c7u, 0x0000171du), vec2<u32>(0x06806807u, 0x00068068u), vec2<u32>(0x11111111u, 0x01111111u),
    vec2<u32>(0x55555555u, 0x15555555u), vec2<u32>(0x00000000u, 0x80000000u),
);

// 7: cosine and sine of an angle from 2^-40 to 2^17, or 0; each rounded to nearest.
fn cos_sin(angle: f32) -> vec2<f32> {
    let bits = bitcast<u32>(angle);
    if bits == 0u {
        return vec2<f32>(1.0, 0.0);
    }
    // whole + fraction / 2^64, exactly.
    let significand = (bits & 0x7fffffu) | 0x800000u;
    let shift = (bits >> 23u) - 86u;
    let fraction = shift_left64(vec2<u32>(significand, 0u), shift);
    let whole = select(0u, significand >> (64u - shift), shift > 40u);
    // The nearest multiple of pi / 2 = 1.921fb544 42d18469 898cc517 in words, or one that is about as near.
    let n = u32(angle * 0.63661977 + 0.5);
    let lowest = mul32(n, 0x898cc517u);
    let low = add64(mul32(n, 0x42d18469u), vec2<u32>(lowest.y, 0u));
    let high = add64(mul32(n, 0x921fb544u), vec2<u32>(low.y, 0u));
    var r = sub64(fraction, vec2<u32>(low.x, high.x));
    // What is left is below 1, and its sign that of the whole part.
    let borrow = u32(is_less64(fraction, vec2<u32>(low.x, high.x)));
    let is_negative = (whole - n - high.y - borrow) > MAGNITUDE;
    if is_negative {
        r = sub64(vec2<u32>(0u, 0u), r);
    }
    let square = mul64_high(r, r);
    var c = COS[0];
    var s = SIN[0];
    for (var k = 1u; k < 11u; k = k + 1u) {
        c = sub64(COS[k], mul64_high(c, square));
        s = sub64(SIN[k], mul64_high(s, square));
    }
    let zeros = select(countLeadingZeros(r.y), 32u + countLeadingZeros(r.x), r.y == 0u);
    let cosine = nearest(c, -63);
    var sine = nearest(mul64_high(shift_left64(r, zeros), s), -63 - i32(zeros));
    if is_negative {
        sine = -sine;
    }
    switch n & 3u {
        case 0u: { return vec2<f32>(cosine, sine); }
        case 1u: { return vec2<f32>(-sine, cosine); }
        case 2u: { return vec2<f32>(-cosine, -sine); }
        default: { return vec2<f32>(sine, -cosine); }
    }
}

// The lanes of the sums of a workgroup, sixteen each.
var<workgroup> lanes: array<f32, 64>;

fn four_lanes(first: u32) -> vec4<f32> {
    return vec4<f32>(lanes[first], lanes[first + 1u], lanes[first + 2u], lanes[first + 3u]);
}

// 4: the sum of sixteen lanes, by halves.
fn fold_lanes(sum: u32) -> f32 {
    let first = 16u * sum;
    let four = (four_lanes(first) + four_lanes(first + 8u)) + (four_lanes(first + 4u) + four_lanes(first + 12u));
    let two = four.xy + four.zw;
    return two.x + two.y;
}
