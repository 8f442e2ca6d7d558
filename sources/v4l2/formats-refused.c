/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pixel formats of videodev2.h that are not in formats.c, and why; a test sees to it that each is in one
 * of the two. They are spelt out, since headers may not have all of them.
 */
#include "sources/v4l2/formats.h"

#include <linux/videodev2.h>
#include <string.h>

#include "base/cleanup.h"

/* Codes of four characters, one behind the other; with BE those with the topmost bit. */
static const struct {
        const char *why;
        const char *codes, *big_endian;
} refused[] = {
        { "one color of each pixel only, which has to be computed from its neighbours: DRM has no name for "
          "it",
          "BA81GBRGGRBGRGGBBG10GB10BA10RG10pBAApGAApgAApRAAaBA8aGA8agA8aRA8"
          "bBA8bGA8BD10bRA8BG12GB12BA12RG12pBCCpGCCpgCCpRCCBG14GB14GR14RG14"
          "pBEEpGEEpgEEpREEBYR2GB16GR16RG16ip3bip3gip3Gip3rS561P207M310JL20"
          "SONX905CS680",
          "" },
        { "tiles, for which DRM has no modifier that is defined as exactly",
          "VT12HM12ST12T010VM12NA12MT21MM21Q08CQ10C", "NT12" },
        { "DRM has no name for this order of bits",
          "BGRHY04 Y06 Y14 Y10BY10Pip3yUV8 YYUVY41PY444YUVOYUVPYUV4AYUVXYUV"
          "M420HSV3HSV4HI24",
          "" },
        { "not a picture, or two in one: depth, confidence, left and right", "Y8I Y12IZ16 INZICNF4S5CI", "" },
        { "a compressed stream that says nothing of what it takes to decode it",
          "AVC1MG2SVP8FVP9FSFWHS264S265", "" },
        { "compressed in a way that hardly any program can decode",
          "M264VC1GVC1LFWHTCPIAWNVAS910S920PWC1PWC2E625S501S505S508PJPGO511"
          "O518TM60CITVKONIJPGLS401",
          "" },
};

static bool has_code(const char *codes, uint32_t code) {
        for (; *codes; codes += 4)
                if (v4l2_fourcc((uint32_t)codes[0], (uint32_t)codes[1], (uint32_t)codes[2],
                                (uint32_t)codes[3]) == code)
                        return true;
        return false;
}

const char *pixel_format_why_not(uint32_t v4l2) {
        const uint32_t big_endian = 1u << 31;

        for (size_t i = 0; i < FB_ELEMENTSOF(refused); i++)
                if (has_code(v4l2 & big_endian ? refused[i].big_endian : refused[i].codes,
                             v4l2 & ~big_endian))
                        return refused[i].why;
        return "nothing is known of it";
}
