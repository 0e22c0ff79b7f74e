// What the host decides before a launch: are the arguments sound, what is cut, how often is it halved.
#ifndef EDGETL_PREPROCESS_PLAN_H
#define EDGETL_PREPROCESS_PLAN_H

#include <cmath>
#include <cstdint>
#include <initializer_list>

#include "edgetl_checks.h"
#include "edgetl_preprocess.h"

namespace edgetl::preprocess {

constexpr int kTileWidth = 32;   // of the input that one block writes, a pixel a thread
constexpr int kTileHeight = 16;
constexpr int kThreads = kTileWidth * kTileHeight;
constexpr int kFraction = 8;     // bits of a bilinear weight, and of a coordinate behind its point
constexpr int kColourBits = 16;  // behind the point of the colour arithmetic
constexpr int kMaxBase = 2;      // halvings of a unit, which a thread has in registers at once: 4 x 4 pixels

struct Axis {
  int halved;      // pixels after the last halving
  int input;       // pixels of the engine's input
  double step;     // halved / input, in halves of 1 / 2^kFraction
  bool is_sparse;  // outputs are so far apart that what lies between their neighbours is not read
};

struct Colours {  // value * 2^kColourBits
  int black;      // of luma, not scaled
  int luma;
  int red_cr;
  int green_cb;
  int green_cr;
  int blue_cb;
};

struct Plan {
  int top;  // of the square that is halved
  int left;
  int halvings;
  int load_width;   // bytes of a load that is aligned in every row: 1, 2 or 4
  bool is_swapped;  // the frame's channels are the input's from behind
  Axis rows;
  Axis columns;
  Colours colours;
};

inline edgetl_status check_types(const edgetl_preprocess_args &args) {
  if (args.format < EDGETL_NV12 || args.format > EDGETL_RGB) return EDGETL_BAD_TYPE;
  if (args.input_format != EDGETL_BGR && args.input_format != EDGETL_RGB) return EDGETL_BAD_TYPE;
  if (args.format != EDGETL_NV12) return EDGETL_OK;
  if (args.matrix != EDGETL_BT601 && args.matrix != EDGETL_BT709) return EDGETL_BAD_TYPE;
  return args.range == EDGETL_LIMITED || args.range == EDGETL_FULL ? EDGETL_OK : EDGETL_BAD_TYPE;
}

inline edgetl_status check_sizes(const edgetl_preprocess_args &args) {
  for (const std::int32_t side : {args.height, args.width, args.input_height, args.input_width}) {
    if (side < 1 || side > EDGETL_PREPROCESS_MAX_SIDE) return EDGETL_BAD_SIZE;
  }
  if (args.format == EDGETL_NV12 && (args.height % 2 != 0 || args.width % 2 != 0)) return EDGETL_BAD_SIZE;
  const bool is_part = args.crop_numerator >= 1 && args.crop_numerator <= args.crop_denominator;
  return is_part ? EDGETL_OK : EDGETL_BAD_CROP;
}

inline bool is_pitch(std::int64_t pitch, std::int64_t row, int rows) {
  return pitch >= row && pitch <= INT64_MAX / rows;
}

inline edgetl_status check_memory(const edgetl_preprocess_args &args) {
  const bool has_chroma = args.format == EDGETL_NV12;
  if (args.pixels == nullptr || args.input == nullptr) return EDGETL_NULL_POINTER;
  if (has_chroma && args.chroma == nullptr) return EDGETL_NULL_POINTER;
  const std::int64_t row = std::int64_t{args.width} * (has_chroma ? 1 : 3);
  if (!is_pitch(args.pixel_pitch, row, args.height)) return EDGETL_BAD_STRIDE;
  if (has_chroma && !is_pitch(args.chroma_pitch, args.width, args.height)) return EDGETL_BAD_STRIDE;
  return EDGETL_OK;
}

inline Axis make_axis(int halved, int input) {
  return {halved, input, double(halved) / input * (1 << (kFraction - 1)), halved > 2 * input};
}

// The resize rule's geometry: the centre square times the crop, cut about its centre to a multiple of 2^halvings.
inline void cut(const edgetl_preprocess_args &args, Plan &plan) {
  const int shorter = args.height < args.width ? args.height : args.width;
  const int part = static_cast<int>(std::int64_t{shorter} * args.crop_numerator / args.crop_denominator);
  const int side = part < 1 ? 1 : part;
  const int target = args.input_height > args.input_width ? args.input_height : args.input_width;
  plan.halvings = 0;
  while (side >> (plan.halvings + 1) >= target) ++plan.halvings;
  const int halved = side >> plan.halvings;
  const int rest = side - (halved << plan.halvings);
  plan.top = (args.height - side) / 2 + rest / 2;
  plan.left = (args.width - side) / 2 + rest / 2;
  plan.rows = make_axis(halved, args.input_height);
  plan.columns = make_axis(halved, args.input_width);
}

inline int base_of(const Plan &plan) { return plan.halvings < kMaxBase ? plan.halvings : kMaxBase; }

// Whether loads of this width are aligned in every row, in both planes of NV12.
inline bool is_aligned(const edgetl_preprocess_args &args, const Plan &plan, int width) {
  const bool has_chroma = args.format == EDGETL_NV12;
  const bool pixels = is_multiple(args.pixels + std::int64_t{plan.left} * (has_chroma ? 1 : 3), width) &&
                      args.pixel_pitch % width == 0;
  if (!has_chroma) return pixels;
  return pixels && plan.top % 2 == 0 && plan.left % 2 == 0 && is_multiple(args.chroma + plan.left, width) &&
         args.chroma_pitch % width == 0;
}

// ITU-R BT.601-7 section 2.5 and BT.709-6 section 3, solved for R, G and B; full range as ITU-T H.273 equations 30
// to 32 have it (JPEG's T.871 for BT.601).
inline Colours make_colours(std::int32_t matrix, std::int32_t range) {
  const double red = matrix == EDGETL_BT601 ? 0.299 : 0.2126;
  const double blue = matrix == EDGETL_BT601 ? 0.114 : 0.0722;
  const double green = 1 - red - blue;
  const bool is_full = range == EDGETL_FULL;
  const double luma = is_full ? 1.0 : 255.0 / 219.0;
  const double chroma = is_full ? 1.0 : 255.0 / 224.0;
  const auto fixed = [](double value) { return static_cast<int>(std::lrint(value * (1 << kColourBits))); };
  return {is_full ? 0 : 16,
          fixed(luma),
          fixed(2 * (1 - red) * chroma),
          fixed(-2 * (1 - blue) * blue / green * chroma),
          fixed(-2 * (1 - red) * red / green * chroma),
          fixed(2 * (1 - blue) * chroma)};
}

inline edgetl_status make_plan(const edgetl_preprocess_args *args, Plan &plan) {
  if (args == nullptr) return EDGETL_NULL_POINTER;
  edgetl_status status = check_types(*args);
  if (status == EDGETL_OK) status = check_sizes(*args);
  if (status == EDGETL_OK) status = check_memory(*args);
  if (status != EDGETL_OK) return status;
  cut(*args, plan);
  plan.load_width = 1 << base_of(plan);
  while (plan.load_width > 1 && !is_aligned(*args, plan, plan.load_width)) plan.load_width /= 2;
  const int frame = args->format == EDGETL_NV12 ? EDGETL_RGB : args->format;
  plan.is_swapped = frame != args->input_format;
  plan.colours = make_colours(args->matrix, args->range);
  return EDGETL_OK;
}

}  // namespace edgetl::preprocess

#endif
