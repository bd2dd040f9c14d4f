//! `mapweave maps`: which maps there are.

use super::args::MapsArgs;
use super::context::Context;
use super::table::{Align, lines, size};
use super::target::{Intent, MapInfo};
use crate::{Error, Exit};

/// Lists the maps by name.
pub(super) fn run(args: &MapsArgs, context: Context<'_>) -> Result<Exit, Error> {
    context.on(&args.target, Intent::Read, async |target, console| {
            let maps = target.maps().await?;
            if args.json {
                console.json(&maps)?;
            } else if maps.is_empty() {
                console.say("there are no maps yet");
            } else {
                table(&maps)
                    .iter()
                    .try_for_each(|line| console.line(line))?;
            }
            for (map, problem) in maps
                .iter()
                .filter_map(|m| Some((&m.name, m.problem.as_ref()?)))
            {
                console.say(format_args!(
                    "map {map:?} cannot be loaded, so its features are not counted: {problem}; `mapweave verify` tells more"
                ));
            }
            Ok(Exit::Done)
    })
}

fn table(maps: &[MapInfo]) -> Vec<String> {
    let columns = [
        ("NAME", Align::Left),
        ("FEATURES", Align::Right),
        ("UPDATES", Align::Right),
        ("BYTES", Align::Right),
        ("LAST EDIT", Align::Left),
        ("TITLE", Align::Left),
    ];
    let row = |map: &MapInfo| {
        [
            map.name.clone(),
            map.features.to_string(),
            map.updates.to_string(),
            size(map.bytes),
            map.last_edit.clone().unwrap_or_default(),
            map.title.clone().unwrap_or_default(),
        ]
    };
    lines(columns, &maps.iter().map(row).collect::<Vec<_>>())
}
