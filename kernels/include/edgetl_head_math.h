// The arithmetic of one thread: how an element is read, ordered and reduced. Plain C++ compiles it too.
#ifndef EDGETL_HEAD_MATH_H
#define EDGETL_HEAD_MATH_H

#include <cmath>
#include <cstdint>
#include <cstring>

#include "edgetl_device.h"
#include "edgetl_head_plan.h"

#ifdef __CUDACC__
#include <cuda_fp16.h>
#define EDGETL_PRAGMA(words) _Pragma(#words)
#define EDGETL_UNROLL_BY(turns) EDGETL_PRAGMA(unroll(turns))
#else
#define EDGETL_UNROLL_BY(turns)
#endif

namespace edgetl::head {

struct Half {  // FP16 as stored; a host compiler need not know the type
  std::uint16_t bits;
};

EDGETL_DEVICE float as_float(float value) { return value; }

EDGETL_DEVICE float as_float(Half value) {
#ifdef __CUDACC__
  return __half2float(__ushort_as_half(value.bits));
#else
  const std::uint32_t sign = std::uint32_t{value.bits} >> 15 << 31;
  const std::uint32_t exponent = value.bits >> 10 & 31U;
  const std::uint32_t fraction = value.bits & 1023U;
  if (exponent == 0) {
    const float tiny = static_cast<float>(fraction) * 0x1p-24F;
    return sign != 0 ? -tiny : tiny;
  }
  const std::uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  const std::uint32_t bits = sign | wide << 23 | fraction << 13;
  float result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
#endif
}

// A thread's sum over a plane. That of INT8 is exact: EDGETL_HEAD_MAX_PIXELS times -128 just fits 32 bits.
template <class Element>
struct Sum {
  float total = 0.0F;
  EDGETL_DEVICE void add(Element value) { total += as_float(value); }
  EDGETL_DEVICE float value() const { return total; }
};

template <>
struct Sum<std::int8_t> {
  std::int32_t total = 0;
  EDGETL_DEVICE void add(std::int8_t value) { total += value; }
  EDGETL_DEVICE float value() const { return static_cast<float>(total); }
};

EDGETL_DEVICE bool is_finite(float value) { return value - value == 0.0F; }

// NaN wins, so that one NaN among the logits is in the maximum whatever the order.
EDGETL_DEVICE float max_or_nan(float left, float right) { return left > right || left != left ? left : right; }

EDGETL_DEVICE Candidate before_all() { return {INFINITY, -1}; }
EDGETL_DEVICE Candidate after_all() { return {-INFINITY, INT32_MAX}; }

// The order of top-k: larger logit, then smaller index. A NaN is before and after nothing.
EDGETL_DEVICE bool is_before(const Candidate &left, const Candidate &right) {
  return left.logit > right.logit || (left.logit == right.logit && left.index < right.index);
}

// A warp's reductions: every lane gets the result. `Block` has shuffle_xor; all lanes must come here together.
template <int kGroup = kLanes, class Block>
EDGETL_DEVICE float warp_sum(Block &block, float value) {
  for (int apart = kGroup / 2; apart > 0; apart /= 2) value += block.shuffle_xor(value, apart);
  return value;
}

template <class Block>
EDGETL_DEVICE float warp_max(Block &block, float value) {
  for (int apart = kLanes / 2; apart > 0; apart /= 2) {
    value = max_or_nan(value, block.shuffle_xor(value, apart));
  }
  return value;
}

template <class Block>
EDGETL_DEVICE Candidate warp_first(Block &block, Candidate best) {
  for (int apart = kLanes / 2; apart > 0; apart /= 2) {
    const Candidate other{block.shuffle_xor(best.logit, apart), block.shuffle_xor(best.index, apart)};
    if (is_before(other, best)) best = other;
  }
  return best;
}

// The first k of `count` candidates, found one after the other: each is the best of those behind the one before,
// so nothing is marked or moved. `read(i)` gives a candidate; `write(rank, candidate)` is called by lane 0.
template <class Block, class Read, class Write>
EDGETL_DEVICE void select_top_k(Block &block, int lane, std::int64_t count, int k, Read read, Write write) {
  Candidate previous = before_all();
  EDGETL_KEEP_LOOP
  for (int rank = 0; rank < k; ++rank) {
    Candidate best = after_all();
    for (std::int64_t i = lane; i < count; i += kLanes) {
      const Candidate candidate = read(i);
      if (is_before(previous, candidate) && is_before(candidate, best)) best = candidate;
    }
    previous = warp_first(block, best);
    if (lane == 0) write(rank, previous);
  }
}

}  // namespace edgetl::head

#endif
