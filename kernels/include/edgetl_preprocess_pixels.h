// From a frame's bytes to the exact mean of a square of its pixels. Plain C++ compiles it too.
#ifndef EDGETL_PREPROCESS_PIXELS_H
#define EDGETL_PREPROCESS_PIXELS_H

#include <cstdint>

#include "edgetl_device.h"
#include "edgetl_preprocess_plan.h"

namespace edgetl::preprocess {

// Three channels in one number, ten bits each: four times 255 and the 2 that rounds their mean just fit, so that
// one addition adds a pixel.
using Packed = std::uint32_t;

constexpr int kField = 10;

EDGETL_DEVICE Packed pack(std::uint32_t first, std::uint32_t second, std::uint32_t third) {
  return first | second << kField | third << (2 * kField);
}

EDGETL_DEVICE std::uint32_t channel(Packed pixel, int number) { return pixel >> (number * kField) & 255U; }

EDGETL_DEVICE Packed quarter(Packed sum) { return (sum + pack(2, 2, 2)) >> 2 & pack(255, 255, 255); }

// The mean of 2^kBase x 2^kBase pixels by halvings, each rounded. `pixel(row, column)` is inlined with its numbers
// known, so that it may look into arrays of registers.
template <int kBase, class Pixel>
EDGETL_DEVICE Packed halve(const Pixel &pixel, int row = 0, int column = 0) {
  if constexpr (kBase == 0) {
    return pixel(row, column);
  } else {
    constexpr int kHalf = 1 << (kBase - 1);
    return quarter(halve<kBase - 1>(pixel, row, column) + halve<kBase - 1>(pixel, row, column + kHalf) +
                   halve<kBase - 1>(pixel, row + kHalf, column) +
                   halve<kBase - 1>(pixel, row + kHalf, column + kHalf));
  }
}

// kCount bytes by loads of kWidth.
template <int kCount, int kWidth>
EDGETL_DEVICE void read(const std::uint8_t *from, std::uint8_t (&to)[kCount]) {
  for (int first = 0; first < kCount; first += kWidth) {
    const Pack<std::uint8_t, kWidth> bytes = load<kWidth>(from + first);
    for (int i = 0; i < kWidth; ++i) to[first + i] = bytes.at[i];
  }
}

struct Interleaved {  // BGR or RGB, in the order of the frame
  EDGETL_DEVICE static Packed pixel(const edgetl_preprocess_args &args, const Plan &, int row, int column) {
    const std::uint8_t *const at = args.pixels + row * args.pixel_pitch + std::int64_t{column} * 3;
    return pack(at[0], at[1], at[2]);
  }

  template <int kBase>
  EDGETL_DEVICE static Packed wide(const edgetl_preprocess_args &args, const Plan &, int row, int column) {
    constexpr int kSide = 1 << kBase;
    std::uint8_t rows[kSide][3 * kSide];
    const std::uint8_t *from = args.pixels + row * args.pixel_pitch + std::int64_t{column} * 3;
    for (int i = 0; i < kSide; ++i, from += args.pixel_pitch) read<3 * kSide, kSide>(from, rows[i]);
    return halve<kBase>([&](int y, int x) {
      return pack(rows[y][3 * x], rows[y][3 * x + 1], rows[y][3 * x + 2]);
    });
  }
};

// What a pair of Cb and Cr adds to the luma of its pixels, black level and rounding included.
struct Tint {
  int red;
  int green;
  int blue;
};

EDGETL_DEVICE Tint make_tint(const Colours &colours, int cb, int cr) {
  const int offset = (1 << (kColourBits - 1)) - colours.black * colours.luma;
  return {offset + colours.red_cr * (cr - 128),
          offset + colours.green_cb * (cb - 128) + colours.green_cr * (cr - 128),
          offset + colours.blue_cb * (cb - 128)};
}

EDGETL_DEVICE std::uint32_t whole(int value) {
  constexpr int kMost = (256 << kColourBits) - 1;
  return static_cast<std::uint32_t>(value < 0 ? 0 : value > kMost ? kMost : value) >> kColourBits;
}

EDGETL_DEVICE Packed colour(const Colours &colours, const Tint &tint, int luma) {
  const int grey = luma * colours.luma;
  return pack(whole(grey + tint.red), whole(grey + tint.green), whole(grey + tint.blue));
}

struct Nv12 {  // each pair of Cb and Cr is that of its 2 x 2 pixels
  EDGETL_DEVICE static Packed pixel(const edgetl_preprocess_args &args, const Plan &plan, int row, int column) {
    const std::uint8_t *const pair = args.chroma + row / 2 * args.chroma_pitch + column / 2 * 2;
    return colour(plan.colours, make_tint(plan.colours, pair[0], pair[1]),
                  args.pixels[row * args.pixel_pitch + column]);
  }

  // A unit that begins with a pair: each pair is read, and multiplied, once.
  template <int kBase>
  EDGETL_DEVICE static Packed wide(const edgetl_preprocess_args &args, const Plan &plan, int row, int column) {
    constexpr int kSide = 1 << kBase;
    std::uint8_t lumas[kSide][kSide];
    std::uint8_t pairs[kSide / 2][kSide];
    const std::uint8_t *from = args.pixels + row * args.pixel_pitch + column;
    for (int i = 0; i < kSide; ++i, from += args.pixel_pitch) read<kSide, kSide>(from, lumas[i]);
    from = args.chroma + row / 2 * args.chroma_pitch + column;
    for (int i = 0; i < kSide / 2; ++i, from += args.chroma_pitch) read<kSide, kSide>(from, pairs[i]);
    return halve<kBase - 1>([&](int y, int x) {
      const Tint tint = make_tint(plan.colours, pairs[y][2 * x], pairs[y][2 * x + 1]);
      return halve<1>([&](int j, int i) { return colour(plan.colours, tint, lumas[2 * y + j][2 * x + i]); });
    });
  }
};

// The mean of 2^kBase x 2^kBase pixels, by the widest loads that are aligned.
template <class Frame, int kBase>
EDGETL_DEVICE Packed unit(const edgetl_preprocess_args &args, const Plan &plan, int row, int column) {
  if constexpr (kBase == 0) {
    return Frame::pixel(args, plan, row, column);
  } else {
    if (plan.load_width >= 1 << kBase) return Frame::template wide<kBase>(args, plan, row, column);
    if constexpr (kBase == 1) {
      return halve<1>([&](int y, int x) { return Frame::pixel(args, plan, row + y, column + x); });
    } else {
      constexpr int kHalf = 1 << (kBase - 1);
      Packed sum = 0;
      EDGETL_KEEP_LOOP  // all its bytes at once do not fit into registers
      for (int part = 0; part < 4; ++part) {
        sum += unit<Frame, kBase - 1>(args, plan, row + part / 2 * kHalf, column + part % 2 * kHalf);
      }
      return quarter(sum);
    }
  }
}

// Every second bit of `value`, from the lowest on.
EDGETL_DEVICE int even_bits(std::uint32_t value) {
  value &= 0x55555555U;
  value = (value | value >> 1) & 0x33333333U;
  value = (value | value >> 2) & 0x0f0f0f0fU;
  value = (value | value >> 4) & 0x00ff00ffU;
  return static_cast<int>((value | value >> 8) & 0xffffU);
}

// The mean of 2^halvings x 2^halvings pixels: a pixel after the last halving. Units come in Morton order, so that four
// of a level are complete before the next begin, and `sums` counts like digits to base 4.
template <class Frame, int kBase>
EDGETL_DEVICE Packed mean(const edgetl_preprocess_args &args, const Plan &plan, int row, int column) {
  constexpr int kLevels = 13;
  static_assert(EDGETL_PREPROCESS_MAX_SIDE == 1 << (kMaxBase + kLevels));
  const int first_row = plan.top + (row << plan.halvings);
  const int first_column = plan.left + (column << plan.halvings);
  const int levels = plan.halvings - kBase;
  Packed sums[kLevels] = {};
  EDGETL_KEEP_LOOP
  for (std::uint32_t number = 0;; ++number) {
    Packed value = unit<Frame, kBase>(args, plan, first_row + (even_bits(number >> 1) << kBase),
                                      first_column + (even_bits(number) << kBase));
    int level = 0;
    EDGETL_UNROLL  // or `sums` would lie in local memory
    for (; level < kLevels && level < levels; ++level) {
      sums[level] += value;
      if ((number >> (2 * level) & 3U) != 3U) break;
      value = quarter(sums[level]);
      sums[level] = 0;
    }
    if (level == levels) return value;
  }
}

}  // namespace edgetl::preprocess

#endif
